import { createHash } from 'node:crypto';

/**
 * The same for errors of the same kind: their name and message, without what differs from item to item (numbers, ids,
 * quoted values). 12 hexadecimal digits.
 */
export function fingerprintOf(name: string, message: string): string {
  const kind = message
    .replace(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/gi, '?')
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, '?')
    .replace(/\d+/g, '?');
  return createHash('sha256').update(`${name}\n${kind}`).digest('hex').slice(0, 12);
}
