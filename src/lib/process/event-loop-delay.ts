import { monitorEventLoopDelay } from 'node:perf_hooks';

/** ms between two measurements, and of the timer by which it is measured. */
const WINDOW = 1_000;
const RESOLUTION = 20;

/**
 * Watches how late this process's timers fire. They are late when a job's code works for long without a pause, or when there is too much work.
 * @returns the mean delay in ms over the last second or so; and what ends the watching
 */
export function watchEventLoopDelay(): { meanMs: () => number; stop: () => void } {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION });
  histogram.enable();
  let mean = 0;
  const timer = setInterval(() => {
    // The histogram counts the timer's own interval too.
    mean = histogram.count > 0 ? Math.max(0, histogram.mean / 1e6 - RESOLUTION) : 0;
    histogram.reset();
  }, WINDOW).unref();
  return {
    meanMs: () => mean,
    stop() {
      clearInterval(timer);
      histogram.disable();
    },
  };
}
