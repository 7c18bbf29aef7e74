import { MarkFault } from '../personal-data/mark-faults.js';
import { type Finding, finding } from './conventions.js';
import { loadFault } from './load-fault.js';
import { createJobRegistry, type JobFolder } from './registry.js';

/**
 * The jobs of a folder that cannot be loaded, and those whose RequestBody marks what cannot be kept out of the history. They are loaded
 * for that, as `list` loads them, one after the other: what a schema marks is only known when it is built.
 * @param except files that are known to be broken
 * @throws when the folder cannot be read
 */
export async function checkLoading(source: JobFolder, except: ReadonlySet<string> = new Set()): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const job of createJobRegistry(source).list().filter(({ file }) => !except.has(file))) {
    try {
      await job.load();
    } catch (error) {
      const mark = markFaultIn(error);
      const [rule, problem] = mark ? ['marks', capitalized(mark.message)] : ['load', loadFault(error)];
      findings.push(finding({ file: job.file, line: undefined, rule, problem }));
    }
  }
  return findings;
}

function markFaultIn(error: unknown): MarkFault | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof MarkFault) return at;
  return undefined;
}

const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
