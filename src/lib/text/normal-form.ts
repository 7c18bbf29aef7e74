/** More than any language writes: Unicode's stream-safe text has 30 (UAX #15, 13). */
const LONG_RUN = /\p{M}{31}/u;

/**
 * The text in a normal form of Unicode, in a time that grows with the text alone: a run of combining marks is sorted, which takes
 * the square of its length, so a text with a longer run than any language has is left as it is.
 */
export const normalForm = (text: string, form: 'NFC' | 'NFKD'): string => (LONG_RUN.test(text) ? text : text.normalize(form));
