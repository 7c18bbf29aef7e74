import { setTimeout as delay } from 'node:timers/promises';

/** Resolves with the first truthy value of `probe`, asked several times a second. @throws {Error} after `withinMs` */
export async function waitUntil<T>(what: string, probe: () => Promise<T> | T, withinMs = 60_000): Promise<NonNullable<T>> {
  const until = performance.now() + withinMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > until) throw new Error(`waited ${withinMs} ms in vain until ${what}`);
    await delay(50);
  }
}
