import { normalForm } from '../../lib/text/normal-form.js';

/** Windows-1252 beyond Latin-1: with ASCII and Latin-1 all that PDF's standard fonts can show (ISO 32000-1, annex D.2). */
const BEYOND_LATIN_1 = '€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ';

const isPrintable = (character: string): boolean => /^[ -~\u00A0-\u00FF]$/.test(character) || BEYOND_LATIN_1.includes(character);

/**
 * `text` as PDF's standard fonts can print it: a letter that they lack becomes the letter below its accent ('ő' 'o'), and where
 * there is none a question mark. They would print any other letter as a wrong one, without a word.
 */
export function printable(text: string): string {
  if (/^[ -~]*$/.test(text)) return text;
  return Array.from(normalForm(text, 'NFC'), (character) => {
    if (isPrintable(character)) return character;
    if (/\s/.test(character)) return ' ';
    const base = normalForm(character, 'NFKD').replace(/\p{M}/gu, '');
    return base !== '' && Array.from(base).every(isPrintable) ? base : '?';
  }).join('');
}
