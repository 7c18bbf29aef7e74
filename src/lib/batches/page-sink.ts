/** Hears how the rows of a page ended, by their places in it. It may throw to end the pass. */
export interface PageSink {
  succeeded(places: readonly number[]): void;
  failed(places: readonly number[], error: unknown): void;
}
