import http from 'node:http';
import type { Express } from 'express';

/**
 * Classes for http.createServer whose requests and responses have the app's own prototypes from the start. Express gives them those at
 * each request (Object.setPrototypeOf in its application.js), after which V8 up to Node 22 has to forget what it knows of their shape: two thirds of
 * what a bare request costs. Here Express finds nothing to change (docs/performance.md).
 */
export function expressClasses(app: Express): Pick<http.ServerOptions, 'IncomingMessage' | 'ServerResponse'> {
  return { IncomingMessage: derived(http.IncomingMessage, app.request), ServerResponse: derived(http.ServerResponse, app.response) };
}

/** A constructor of `Base` that makes objects of this very prototype. No class can be one, since the prototype of a class is its own. */
function derived<Class extends typeof http.IncomingMessage | typeof http.ServerResponse>(Base: Class, prototype: object): Class {
  // Node's are plain functions. Reflect.construct would also do for classes, and costs what is to be saved.
  const construct = Base as unknown as { call(self: object, ...args: unknown[]): void };
  function Derived(this: object, first: unknown, second: unknown): void {
    construct.call(this, first, second);
  }
  Derived.prototype = prototype;
  return Derived as unknown as Class;
}
