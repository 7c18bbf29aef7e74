import { decompress } from '../../lib/decompress.js';
import { openSource } from '../../lib/open-source.js';
import { splitLines } from '../../lib/split-lines.js';

/** A postal code and the state that it is in; military ones are in none. */
export interface RealZipCode {
  readonly code: string;
  readonly state: string | undefined;
  readonly stateName: string;
}

/** The snapshot that cache-zip-codes loads by default; data/README.md says what its columns are. */
const SNAPSHOT = 'data/geonames-us-postal-codes.txt.gz';

/** The postal codes of the snapshot, in its order. */
export async function readRealZipCodes(): Promise<RealZipCode[]> {
  const found = new Map<string, RealZipCode>();
  for await (const line of splitLines(decompress(openSource(SNAPSHOT)), 2_000)) {
    const [, code = '', , stateName = '', state = ''] = line.split('\t');
    // Of two lines with one code the first counts, as in the job.
    if (!found.has(code)) found.set(code, { code, state: state || undefined, stateName });
  }
  return [...found.values()];
}
