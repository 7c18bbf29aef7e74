/** One delivery of a scheduler's, told apart from the next by its key. The same key never runs twice at once. */
export interface Delivery {
  readonly key: string;
  readonly scheduledFor: Date;
  /** What the scheduler calls its job; it should be the slug. */
  readonly schedulerJobName: string;
}

/** `claimed`: it is the caller's to run. Otherwise another has it, or had it, or it is not to run: its row is the answer. */
export type Claim = { readonly claimed: true; readonly id: string; readonly attempt: number } | { readonly claimed: false; readonly id: string };
