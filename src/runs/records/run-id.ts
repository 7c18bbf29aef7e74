import { getRandomValues } from 'node:crypto';
import { V7Generator } from 'uuidv7';

/** Random numbers by the page: asking for the few that an id takes costs more than making the id. */
class RandomPages {
  readonly #page = new Uint32Array(1_024);
  #next = this.#page.length;

  nextUint32(): number {
    if (this.#next === this.#page.length) {
      getRandomValues(this.#page);
      this.#next = 0;
    }
    return this.#page[this.#next++]!;
  }
}

let generator: V7Generator | undefined;

/** A UUID v7 (RFC 9562): ids are in the order of time, and within this process strictly so. */
export function newRunId(): string {
  generator ??= new V7Generator(new RandomPages());
  return generator.generate().toString();
}

/** Whether `text` is a UUID in the only form that this service writes. */
export const isRunId = (text: string): boolean => /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(text);
