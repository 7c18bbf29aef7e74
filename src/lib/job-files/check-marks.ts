import type { ConventionFault } from './conventions.js';
import { createJobRegistry, type JobFolder } from './registry.js';
import { MarkFault } from '../personal-data/mark-faults.js';

/**
 * The jobs of a folder whose RequestBody marks what cannot be kept out of the history. They are loaded for that, as `list` loads
 * them, one after the other: what a schema marks is only known when it is built. One that cannot be loaded for another reason is passed over.
 * @throws when the folder cannot be read
 */
export async function checkJobMarks(source: JobFolder): Promise<ConventionFault[]> {
  const faults: ConventionFault[] = [];
  for (const job of createJobRegistry(source).list()) {
    try {
      await job.load();
    } catch (error) {
      const fault = markFaultIn(error);
      if (fault) faults.push({ file: job.file, line: undefined, rule: 'marks', problem: capitalized(fault.message) });
    }
  }
  return faults;
}

function markFaultIn(error: unknown): MarkFault | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof MarkFault) return at;
  return undefined;
}

const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
