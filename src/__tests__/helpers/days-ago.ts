/** ms. */
export const DAY = 86_400_000;

/** The time of day that it is now, so many days ago. */
export const daysAgo = (days: number): Date => new Date(Date.now() - days * DAY);
