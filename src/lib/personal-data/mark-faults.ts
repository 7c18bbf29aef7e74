import type { ZodType } from 'zod';
import { graphOf, type SchemaGraph, type SchemaNode, shortPath } from './schema-graph.js';
import { type Place, PlaceTable, UNSEEN } from './schema-place.js';

/** Pairs of places that are held against one another at most, in all pipes of a RequestBody. */
const MOST_PAIRS = 10_000;
const MOST_NAMED = 5;

/** Marks of a RequestBody that could not be kept: personal data would be stored in clear. */
export class MarkFault extends TypeError {
  override readonly name = 'MarkFault';
}

/**
 * Refuses a RequestBody when what it marks cannot be told of a body as it comes in.
 * @throws {MarkFault} that names the place and says what to write instead
 */
export function checkMarks(RequestBody: ZodType): void {
  const graph = graphOf(RequestBody);
  if (graph.fault !== undefined) throw new MarkFault(`nobody can tell what its RequestBody marks as personal: ${graph.fault}.`);
  const check = new PipeCheck();
  for (const node of unmarkedNodes(graph)) if (node.type === 'pipe' && node.inside) check.of(node);
}

/** What is below a mark need not be looked at: all of it is taken out. */
function unmarkedNodes({ root }: SchemaGraph): Set<SchemaNode> {
  const found = new Set([root]);
  for (const node of found) {
    if (node.mark) continue;
    const named = [...node.fields.values(), ...node.checked.values()].flat();
    for (const part of [...node.same, ...named, ...node.otherFields, ...node.keys, ...node.items, ...node.otherItems]) found.add(part);
  }
  return found;
}

/** A value of these kinds names nobody by itself. */
const HARMLESS = new Set(['boolean', 'literal', 'null', 'undefined', 'never', 'void', 'optional', 'nullable', 'default', 'prefault', 'nonoptional', 'readonly', 'catch', 'union', 'lazy', 'pipe', 'transform']);
const STRUCTURED = new Set(['object', 'array', 'tuple', 'record', 'map', 'set']);

/**
 * A pipe gives a value to one schema, and what a transform makes of it to the next. Both may mark fields. A mark on what is made
 * counts for the body's field of the same name; when the body has none of that name, any of its fields may be what it is made of.
 */
class PipeCheck {
  readonly #places = new PlaceTable();
  #pairsLeft = MOST_PAIRS;

  of(pipe: SchemaNode): void {
    if (pipe.mark) return;
    const [given, made] = [pipe.same[0], pipe.same[1]].map((side) => this.#places.placeOf(side ? [side] : [])) as [Place, Place];
    // From a text, or a value of any kind, everything is taken out when there is a mark inside the pipe. A mark on the whole made value counts as one on the whole given value.
    if (!isStructured(given) || given.mark || made.mark) return;
    const lost = this.#lost(given, made);
    const open = lost.length > 0 ? this.#unmarked(given, made) : [];
    if (open.length === 0) return;
    const at = pipe.path === '' ? '' : ` (at ${shortPath(pipe.path)})`;
    throw new MarkFault(`its RequestBody${at} marks ${named(lost)} in what a transform makes of the body, and nothing tells which field of the body that comes from. `
      + `${named(open)} would be stored in clear. Mark on the input side, by .meta({ pii: true }), what it is made of; and what is not personal there, by .meta({ pii: false }).`);
  }

  /** The marked fields of the made value that the given value does not have, by name. */
  #lost(given: Place, made: Place): string[] {
    return this.#walk(made, given, (place, counterpart) => {
      if (place.inside === undefined) return 'skip';
      if (!counterpart?.isKnown) return 'found';
      return place.mark !== undefined || !isStructured(counterpart) ? 'skip' : 'enter';
    });
  }

  /** The fields of the given value that are neither marked, nor said not to be personal, nor kept under their names. */
  #unmarked(given: Place, made: Place): string[] {
    return this.#walk(given, made, (place, counterpart) => {
      if (place.mark !== undefined || place.isSaidNotPersonal) return 'skip';
      if (isStructured(place)) return 'enter';
      return counterpart?.isKnown || [...place.types].every((type) => HARMLESS.has(type)) ? 'skip' : 'found';
    });
  }

  /** Goes through a place and what is in it, each beside what another place has under the same name. */
  #walk(from: Place, beside: Place, judge: (place: Place, counterpart: Place | undefined) => 'skip' | 'found' | 'enter'): string[] {
    const found: string[] = [];
    const seen = new Set<string>();
    const open: [string, Place, Place | undefined][] = [['', from, beside]];
    for (let next = open.pop(); next; next = open.pop()) {
      const [path, place, counterpart] = next;
      const pair = `${place.id} ${counterpart?.id}`;
      if (seen.has(pair)) continue;
      seen.add(pair);
      if (--this.#pairsLeft < 0 || place === UNSEEN || counterpart === UNSEEN) throw new MarkFault('its RequestBody has transforms too large to tell what they do with what is marked. Mark the whole of what goes into them, by .meta({ pii: true }).');
      const verdict = judge(place, counterpart);
      if (verdict === 'found') found.push(path === '' ? 'all of it' : path);
      else if (verdict === 'enter') open.push(...stepsOf(place).map(([step, partOf]): [string, Place, Place | undefined] => [`${path}${step}`, partOf(place), counterpart && exactPart(counterpart, step, partOf)]));
    }
    return found.toReversed();
  }
}

const isStructured = ({ types }: Place): boolean => [...types].some((type) => STRUCTURED.has(type));

type PartOf = (place: Place) => Place;

function stepsOf(place: Place): [string, PartOf][] {
  const names = Array.from(place.names, (name): [string, PartOf] => [`.${name}`, (each) => (each.names.has(name) ? each.field(name) : each.otherFields())]);
  const items = Array.from({ length: place.indexes }, (_, index): [string, PartOf] => [`[${index}]`, (each) => each.item(index)]);
  const rest: [string, PartOf][] = [['.*', (each) => each.otherFields()], [' (the names)', (each) => each.keys()], ['[]', (each) => each.item(each.indexes)]];
  return [...names, ...items, ...rest].filter(([, partOf]) => partOf(place).isKnown);
}

/** A field of any name does not count as the field of that name: the author may have meant another one. */
const exactPart = (place: Place, step: string, partOf: PartOf): Place | undefined =>
  step.startsWith('.') && step !== '.*' && !place.names.has(step.slice(1)) ? undefined : partOf(place);

const named = (paths: readonly string[]): string => {
  const shown = [...new Set(paths)].map((path) => shortPath(path.replace(/^[. ]/, '')));
  return `${shown.slice(0, MOST_NAMED).join(', ')}${shown.length > MOST_NAMED ? ` and ${shown.length - MOST_NAMED} more` : ''}`;
};
