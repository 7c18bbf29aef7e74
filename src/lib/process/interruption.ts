import os from 'node:os';

/** ms. One Ctrl-C comes up to three times: from the terminal, and from npm and tsx, which both pass it on. */
const SAME_SIGNAL_MS = 500;

export interface InterruptionListeners {
  /** The first SIGINT, SIGTERM or SIGHUP: time to stop in order. The code is what a shell calls such an end (128 + its number). */
  readonly onFirst: (signal: NodeJS.Signals, exitCode: number) => void;
  /** Another one, later: the process ends right after. */
  readonly onSecond?: () => void;
}

/** Listens for the signals that ask a process to end. The second one, if it is not the first one's echo, ends it at once. */
export function listenForInterruption({ onFirst, onSecond }: InterruptionListeners): void {
  let first: number | undefined;
  const hear = (signal: NodeJS.Signals): void => {
    const exitCode = 128 + os.constants.signals[signal];
    if (first === undefined) {
      first = performance.now();
      onFirst(signal, exitCode);
    } else if (performance.now() - first > SAME_SIGNAL_MS) {
      onSecond?.();
      process.exit(exitCode);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => hear(signal));
}
