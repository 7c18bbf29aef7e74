import os from 'node:os';

/** Whoever runs this process; a user without a name (a container's, as a rule) by number. */
export function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
