import process from 'node:process';

/** Reads the folder's .env, where there is one; what the environment sets already is not changed. */
export function loadEnvFile(): void {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
