import { monitorEventLoopDelay } from 'node:perf_hooks';

const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();

/** ms that the server's event loop was late by at the most since the last call. */
export default async () => {
  const most = delay.max / 1e6;
  delay.reset();
  return { most };
};
