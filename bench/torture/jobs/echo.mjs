/** Gives back what came. */
export default async ({ body }) => body;
