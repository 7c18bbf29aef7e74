import path from 'node:path';

/** npm runs its scripts in the project's folder. */
const PROJECT = process.cwd();

export const inProject = (...parts: string[]): string => path.join(PROJECT, ...parts);
