/** Fails, so that there is a run that could be started again. */
export default async () => {
  throw new Error('as it was told');
};
