import { setTimeout as sleep } from 'node:timers/promises';

/** Why to wait at present, or false (or nothing, or '') to go on. Asked before every batch, and each second while it says to wait. */
export type ThrottleCondition = () => string | false | undefined | Promise<string | false | undefined>;

const ASK_AGAIN_MS = 1_000;

/** Hears of a pause. */
export interface PauseListener {
  pause(reason: string): void;
  goOn(): void;
}

/**
 * Waits until no condition has a reason to.
 * @throws the signal's reason, as soon as it fires; whatever a condition throws
 */
export async function waitWhile(conditions: readonly ThrottleCondition[], signal: AbortSignal, listener: PauseListener): Promise<void> {
  try {
    for (let reason = await firstReason(conditions); reason; reason = await firstReason(conditions)) {
      signal.throwIfAborted();
      listener.pause(reason);
      // It rejects with an AbortError of Node's own; the reason itself says more.
      await sleep(ASK_AGAIN_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  } finally {
    listener.goOn();
  }
  signal.throwIfAborted();
}

async function firstReason(conditions: readonly ThrottleCondition[]): Promise<string | undefined> {
  for (const condition of conditions) {
    const reason = await condition();
    if (reason) return reason;
  }
  return undefined;
}
