import type { ZodType } from 'zod';

/** What handle() made a handler of: for the service, which has parsed the body already. */
export interface Handled {
  readonly RequestBody: ZodType;
  /** @param body as RequestBody made it */
  readonly perform: (body: unknown) => Promise<unknown>;
}

const handled = new WeakMap<object, Handled>();

export const keepHandled = (handler: object, what: Handled): void => void handled.set(handler, what);

/** Undefined for a handler that parses its body itself. */
export const handledBy = (handler: object): Handled | undefined => handled.get(handler);
