import { readFileSync } from 'node:fs';
import TestSequencer from '@jest/test-sequencer';

/** What starts processes takes longest, however short its text: the workers then end at about the same time. */
const LONG = /torture|create-command/;
const STARTS_PROCESSES = /node:child_process|helpers\/(?:service-process|postgres-process|embedded-postgres-user)/;

const rank = ({ path }) => (LONG.test(path) ? 0 : STARTS_PROCESSES.test(readFileSync(path, 'utf8')) ? 1 : 2);

/** Where Jest knows no times of an earlier run, as on a fresh clone, it goes by the size of the files. */
export default class LongestFirst extends TestSequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    if (sorted.some(({ duration }) => duration !== undefined)) return sorted;
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}
