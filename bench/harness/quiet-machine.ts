import os from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_MS = 300;
const LONGEST_WAIT_MS = 10_000;
const QUIET = 0.85;

/**
 * Waits until hardly anything else runs on the machine, but no longer than 10 s.
 * @returns whether it became quiet; figures taken when it did not say little
 */
export async function quietMachine(): Promise<boolean> {
  const until = performance.now() + LONGEST_WAIT_MS;
  for (;;) {
    const before = cpuTimes();
    await delay(LOOK_MS);
    const after = cpuTimes();
    if ((after.idle - before.idle) / (after.all - before.all) >= QUIET) return true;
    if (performance.now() > until) return false;
  }
}

function cpuTimes(): { idle: number; all: number } {
  const times = os.cpus().map((cpu) => cpu.times);
  const sum = (of: (time: (typeof times)[number]) => number) => times.reduce((total, time) => total + of(time), 0);
  return { idle: sum(({ idle }) => idle), all: sum(({ user, nice, sys, idle, irq }) => user + nice + sys + idle + irq) };
}
