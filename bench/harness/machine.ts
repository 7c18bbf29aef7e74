import os from 'node:os';

/** What the figures were taken on. Only figures of the same run are worth comparing; this says why two runs differ. */
export function machineFacts() {
  const cpus = os.cpus();
  return {
    date: new Date().toISOString(),
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    platform: `${os.platform()} ${os.arch()} ${os.release()}`,
    node: process.version,
    loadAtStart: os.loadavg()[0],
  };
}
