/** The job that does nothing: what is left to measure is what a run of any job costs. */
export default async () => ({ ok: true });
