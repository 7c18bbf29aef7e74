import { escapeControls } from '../text/escape-controls.js';

/** How the board's memory is laid out: for the thread that reads it, which can import nothing. */
export interface BoardLayout {
  readonly memory: SharedArrayBuffer;
  readonly slots: number;
  /** The bytes of one slot's text: `<id> <job's name>`, in UTF-8. */
  readonly slotBytes: number;
  /** Where the texts begin. Before it: the number of starting runs, of runs that found no slot, and each slot's length. */
  readonly textsAt: number;
}

const SLOTS = 1_024;
const SLOT_BYTES = 144;
const MOST_NAME = 100;
const STARTING = 0;
const WITHOUT_SLOT = 1;
const LENGTHS_AT = 2;

/**
 * The runs that are active, in memory that another thread can read when this one is blocked: each is on it from before its job's
 * first line to its end. Ids and jobs' names alone. Runs beyond the slots are only counted.
 */
export class RunBoard {
  readonly layout: BoardLayout;
  readonly #numbers: Int32Array;
  readonly #texts: Buffer;
  readonly #free = Array.from({ length: SLOTS }, (_, index) => SLOTS - 1 - index);
  readonly #slotOf = new Map<object, number>();

  constructor() {
    const textsAt = (LENGTHS_AT + SLOTS) * 4;
    const memory = new SharedArrayBuffer(textsAt + SLOTS * SLOT_BYTES);
    this.layout = { memory, slots: SLOTS, slotBytes: SLOT_BYTES, textsAt };
    this.#numbers = new Int32Array(memory, 0, LENGTHS_AT + SLOTS);
    this.#texts = Buffer.from(memory, textsAt);
  }

  add(run: { readonly id: string; readonly jobName: string }): void {
    const slot = this.#free.pop();
    if (slot === undefined) {
      Atomics.add(this.#numbers, WITHOUT_SLOT, 1);
      return;
    }
    this.#slotOf.set(run, slot);
    const length = this.#texts.write(`${run.id} ${escapeControls(run.jobName.slice(0, MOST_NAME))}`, slot * SLOT_BYTES, SLOT_BYTES);
    // Last, so that the reader never sees half a text.
    Atomics.store(this.#numbers, LENGTHS_AT + slot, length);
  }

  /** Call it once for each `add`. */
  remove(run: object): void {
    const slot = this.#slotOf.get(run);
    if (slot === undefined) {
      Atomics.sub(this.#numbers, WITHOUT_SLOT, 1);
      return;
    }
    this.#slotOf.delete(run);
    Atomics.store(this.#numbers, LENGTHS_AT + slot, 0);
    this.#free.push(slot);
  }

  /** How many runs have no row yet: what is done with their bodies may block too. */
  set starting(count: number) {
    Atomics.store(this.#numbers, STARTING, count);
  }
}
