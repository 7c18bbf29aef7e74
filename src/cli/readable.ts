import { escapeControls } from '../lib/text/escape-controls.js';

/** ISO 8601 in UTC, to the second. */
export const readableTime = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z');

/** Such as 850 ms, 12.3 s, 4 m 05 s, 2 h 10 m. */
export function readableDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const twoDigits = (value: number) => String(value % 60).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} m ${twoDigits(seconds)} s` : `${Math.floor(minutes / 60)} h ${twoDigits(minutes)} m`;
}

/** Aligned columns, a line each. The last column is as long as its text: what is cut off is what was looked for. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows].map((cells) => cells.map(escapeControls));
  const widths = header.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines.map((cells) => `${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()}\n`).join('');
}
