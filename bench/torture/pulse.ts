import { setTimeout as delay } from 'node:timers/promises';

const BETWEEN_MS = 25;

/** Meanwhile asks /healthz again and again; what it waits for longest is what the event loop was held up for. */
export class Pulse {
  readonly #url: string;
  #isOver = false;
  #longest = 0;
  #failures = 0;
  readonly #beating: Promise<void>;

  /** @param url of the service */
  constructor(url: string) {
    this.#url = `${url}/healthz`;
    this.#beating = this.#beat();
  }

  async #beat(): Promise<void> {
    while (!this.#isOver) {
      const began = performance.now();
      try {
        const answer = await fetch(this.#url);
        await answer.arrayBuffer();
        if (!answer.ok) this.#failures++;
      } catch {
        this.#failures++;
      }
      this.#longest = Math.max(this.#longest, performance.now() - began);
      await delay(BETWEEN_MS);
    }
  }

  /** Stops asking. `longest`: of one answer, in ms; `failures`: answers that were none, or no 200. */
  async stop(): Promise<{ longest: number; failures: number }> {
    this.#isOver = true;
    await this.#beating;
    return { longest: this.#longest, failures: this.#failures };
  }
}
