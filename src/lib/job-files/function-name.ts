/** The name of the function that a job file exports beside its default: its slug in camelCase. */
export const functionNameOf = (slug: string): string => slug.replace(/-(.)/g, (_hyphen, first: string) => first.toUpperCase());
