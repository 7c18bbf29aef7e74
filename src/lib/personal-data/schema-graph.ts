import type { ZodType } from 'zod';
import { isSaidNotPersonal, type Mark, markOf } from './marks.js';
import { isKnownSchema, partsOf, type SchemaParts, typeOf } from './schema-definition.js';

/** What is looked through of one RequestBody. A getter that builds a schema at each call has no end. */
export const MOST_SCHEMAS = 10_000;

/** A schema that a RequestBody is built of. */
export interface SchemaNode {
  readonly id: number;
  /** Such as `patient.phones[]`; empty for the RequestBody itself. Where several ways lead there, the first one. */
  readonly path: string;
  readonly type: string;
  readonly mark: Mark | undefined;
  readonly isSaidNotPersonal: boolean;
  /** How anything is marked that a value of this schema may hold. */
  inside: Mark | undefined;
  readonly same: SchemaNode[];
  readonly fields: Map<string, SchemaNode[]>;
  readonly checked: Map<string, SchemaNode[]>;
  readonly otherFields: SchemaNode[];
  readonly keys: SchemaNode[];
  readonly items: SchemaNode[];
  readonly otherItems: SchemaNode[];
}

/** Every schema that a RequestBody is built of. */
export interface SchemaGraph {
  readonly root: SchemaNode;
  /** The root first; each one once, though schemas may refer to one another in circles. */
  readonly nodes: readonly SchemaNode[];
  /** Why not all of them could be looked through. What they mark is then unknown. */
  readonly fault: string | undefined;
}

const graphs = new WeakMap<ZodType, SchemaGraph>();

/** Looks through a RequestBody, once: at most MOST_SCHEMAS schemas, without recursion. Never throws. */
export function graphOf(root: ZodType): SchemaGraph {
  const known = graphs.get(root);
  if (known) return known;
  const graph = new GraphBuilder().build(root);
  graphs.set(root, graph);
  return graph;
}

class GraphBuilder {
  readonly #bySchema = new Map<ZodType, SchemaNode>();
  readonly #users = new Map<SchemaNode, SchemaNode[]>();
  #fault: string | undefined;

  build(rootSchema: ZodType): SchemaGraph {
    const root = this.#node(rootSchema, '');
    // A Map is iterated to its end, with what is added meanwhile.
    for (const [schema, node] of this.#bySchema) {
      if (this.#fault !== undefined) break;
      this.#addParts(node, schema);
    }
    const nodes = [...this.#bySchema.values()];
    this.#spreadMarks(nodes);
    return { root, nodes, fault: this.#fault };
  }

  #addParts(node: SchemaNode, schema: ZodType): void {
    const parts = this.#read(node, schema);
    if (!parts) return;
    const add = (to: SchemaNode[], part: ZodType, step: string) => {
      if (this.#bySchema.size >= MOST_SCHEMAS && !this.#bySchema.has(part)) {
        this.#fault ??= `it makes new schemas for ever, or more than ${MOST_SCHEMAS}: ${shortPath(node.path)} is still not the end. `
          + 'A lazy or a getter that calls a function which builds a schema builds another one each time. Build it once, in a const, and refer to that';
        return;
      }
      const found = this.#node(part, node.path + step);
      to.push(found);
      this.#users.get(found)?.push(node);
    };
    parts.same.forEach((part) => add(node.same, part, ''));
    for (const list of ['fields', 'checked'] as const) {
      for (const [name, part] of parts[list]) {
        const known = node[list].get(name) ?? [];
        node[list].set(name, known);
        add(known, part, node.path === '' ? name : `.${name}`);
      }
    }
    parts.otherFields.forEach((part) => add(node.otherFields, part, '.*'));
    parts.keys.forEach((part) => add(node.keys, part, ' (the names)'));
    parts.items.forEach((part, index) => add(node.items, part, `[${index}]`));
    parts.otherItems.forEach((part) => add(node.otherItems, part, '[]'));
  }

  #read(node: SchemaNode, schema: ZodType): SchemaParts | undefined {
    try {
      return partsOf(schema);
    } catch (error) {
      this.#fault ??= `the schema of ${shortPath(node.path)} cannot be looked through, since its getter throws: ${error instanceof Error ? error.message : 'no Error'}. Let it return a schema`;
      return undefined;
    }
  }

  #node(schema: ZodType, path: string): SchemaNode {
    const known = this.#bySchema.get(schema);
    if (known) return known;
    // What a schema of another Zod marks cannot be seen. So all of its value is taken for personal, with whatever is in it.
    const isKnown = isKnownSchema(schema);
    const mark = isKnown ? markOf(schema) : 'pii';
    const node: SchemaNode = {
      id: this.#bySchema.size, path, type: typeOf(schema), mark, isSaidNotPersonal: mark === undefined && isSaidNotPersonal(schema), inside: undefined,
      same: [], fields: new Map(), checked: new Map(), otherFields: [], keys: [], items: [], otherItems: [],
    };
    if (!isKnown) for (const list of [node.otherFields, node.keys, node.otherItems]) list.push(node);
    this.#bySchema.set(schema, node);
    this.#users.set(node, []);
    return node;
  }

  /** From the marked ones up to all that are built of them. */
  #spreadMarks(nodes: readonly SchemaNode[]): void {
    for (const mark of ['secret', 'pii'] as const) {
      const reached = new Set(nodes.filter((node) => node.mark === mark));
      for (const node of reached) {
        node.inside ??= mark;
        for (const user of this.#users.get(node) ?? []) reached.add(user);
      }
    }
  }
}

/** A path for a message. Its end says the most. */
export const shortPath = (path: string): string => (path === '' ? 'the body' : path.length <= 80 ? path : `...${path.slice(-80)}`);
