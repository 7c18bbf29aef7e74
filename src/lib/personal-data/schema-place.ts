import type { ZodType } from 'zod';
import type { Mark } from './marks.js';
import { graphOf, type SchemaNode } from './schema-graph.js';

/** The most schemas that are looked at for the places of one RequestBody. Only a schema that combines hundreds of alternatives comes near it. */
const MOST_STEPS = 10_000_000;

/**
 * A place in a body, by all the schemas that describe what stands there: of a union each alternative counts, since which one is
 * meant is not known. The same schemas are the same place, so that a place is worked out once, and not for each value that stands there.
 */
export interface Place {
  readonly id: number;
  /** Some schema describes it. */
  readonly isKnown: boolean;
  /** How it is marked; what is a secret to one of its schemas is one. */
  readonly mark: Mark | undefined;
  /** How anything is marked that a value there may hold. */
  readonly inside: Mark | undefined;
  /** One of its schemas is said not to be personal, and none is marked. */
  readonly isSaidNotPersonal: boolean;
  /** All that its schemas say is that anything may stand there. */
  readonly saysNothing: boolean;
  /** The kinds of its schemas, such as object and union. */
  readonly types: ReadonlySet<string>;
  /** The fields that are known by their names. */
  readonly names: ReadonlySet<string>;
  /** How many items are known by their index. */
  readonly indexes: number;
  readonly field: (name: string) => Place;
  readonly otherFields: () => Place;
  /** The names of a record. */
  readonly keys: () => Place;
  readonly item: (index: number) => Place;
}

const places = new WeakMap<ZodType, Place>();

/** The place of the body itself. All of it is taken for personal when the schema could not be looked through. */
export function bodyPlace(schema: ZodType): Place {
  const known = places.get(schema);
  if (known) return known;
  const { root, fault } = graphOf(schema);
  const place = fault === undefined ? new PlaceTable().placeOf([root]) : UNSEEN;
  places.set(schema, place);
  return place;
}

/** The places of one RequestBody. */
export class PlaceTable {
  readonly #places = new Map<string, Place>();
  #stepsLeft = MOST_STEPS;

  /**
   * The place that all of these schemas describe, and those that stand for the same value: what they wrap, and their alternatives.
   * @param steps that it took to find them
   */
  readonly placeOf = (from: readonly SchemaNode[], steps = 0): Place => {
    this.#stepsLeft -= steps;
    if (this.#stepsLeft < 0) return UNSEEN;
    if (from.length === 0) return NOWHERE;
    const nodes = new Set(from);
    for (const node of nodes) {
      this.#stepsLeft -= 1 + node.same.length + node.fields.size;
      if (this.#stepsLeft < 0) return UNSEEN;
      for (const part of node.same) nodes.add(part);
    }
    const key = Array.from(nodes, ({ id }) => id).toSorted((a, b) => a - b).join(' ');
    const known = this.#places.get(key);
    if (known) return known;
    const place = new DescribedPlace(this.#places.size, [...nodes], this.placeOf);
    this.#places.set(key, place);
    return place;
  };
}

const strongest = (marks: readonly (Mark | undefined)[]): Mark | undefined => (['secret', 'pii'] as const).find((mark) => marks.includes(mark));

class DescribedPlace implements Place {
  readonly isKnown = true;
  readonly mark: Mark | undefined;
  readonly inside: Mark | undefined;
  readonly isSaidNotPersonal: boolean;
  readonly types: ReadonlySet<string>;
  readonly saysNothing: boolean;
  readonly names: ReadonlySet<string>;
  readonly indexes: number;
  readonly #parts = new Map<string | number, Place>();

  constructor(readonly id: number, readonly nodes: readonly SchemaNode[], readonly placeOf: PlaceTable['placeOf']) {
    this.mark = strongest(nodes.map(({ mark }) => mark));
    this.inside = strongest(nodes.map(({ inside }) => inside));
    this.isSaidNotPersonal = this.mark === undefined && nodes.some((node) => node.isSaidNotPersonal);
    this.types = new Set(nodes.map(({ type }) => type));
    this.saysNothing = this.mark === undefined && !this.isSaidNotPersonal && [...this.types].every((type) => type === 'unknown' || type === 'any');
    this.names = new Set(nodes.flatMap(({ fields, checked }) => [...fields.keys(), ...checked.keys()]));
    this.indexes = nodes.reduce((most, { items }) => Math.max(most, items.length), 0);
  }

  readonly field = (name: string): Place => {
    if (!this.names.has(name)) {
      const other = this.otherFields();
      // `.loose()` lets other fields be, and says nothing of them.
      return this.names.size > 0 && other.saysNothing ? NOWHERE : other;
    }
    return this.#part(`.${name}`, ({ fields, checked, otherFields }) => [...(fields.get(name) ?? otherFields), ...(checked.get(name) ?? [])]);
  };

  readonly otherFields = (): Place => this.#part('other', ({ otherFields }) => otherFields);

  readonly keys = (): Place => this.#part('keys', ({ keys }) => keys);

  readonly item = (index: number): Place =>
    this.#part(Math.min(index, this.indexes), ({ items, otherItems }) => (index < items.length ? items.slice(index, index + 1) : otherItems));

  #part(step: string | number, partsOf: (node: SchemaNode) => readonly SchemaNode[]): Place {
    let part = this.#parts.get(step);
    if (!part) this.#parts.set(step, (part = this.placeOf(this.nodes.flatMap(partsOf), this.nodes.length)));
    return part;
  }
}

const EMPTY = { id: -1, isKnown: false, mark: undefined, inside: undefined, isSaidNotPersonal: false, types: new Set<string>(), saysNothing: false, names: new Set<string>(), indexes: 0 };

/** A place that no schema describes. */
export const NOWHERE: Place = { ...EMPTY, field: () => NOWHERE, otherFields: () => NOWHERE, keys: () => NOWHERE, item: () => NOWHERE };

/** A place of which it is not known what is marked there. So all of it counts as marked. */
export const UNSEEN: Place = { ...EMPTY, id: -2, isKnown: true, mark: 'pii', inside: 'pii', field: () => UNSEEN, otherFields: () => UNSEEN, keys: () => UNSEEN, item: () => UNSEEN };
