/** Stands where every case was dealt with: a case that is added later fails to compile here. */
export function unreachable(value: never): never {
  throw new Error(`nothing deals with the case ${JSON.stringify(value)}`);
}
