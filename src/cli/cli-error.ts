/** A mistake of whoever typed the command, or something that they can mend. Shown as it is, without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
}
