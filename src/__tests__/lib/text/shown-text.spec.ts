import { createScrubber } from '@commons/backend/lib/personal-data/scrubber.js';
import { shownText } from '@commons/backend/lib/text/shown-text.js';

const MOST = 8_192;
const VALUE = 'secretive-canary-value-of-a-person-';
const TOKEN = `eyJhbGciOiJSUzI1NiJ9.eyJ${'Y2FuYXJ5'.repeat(40)}.${'c2lnbmF0dXJl'.repeat(10)}`;

describe('shownText', () => {
  it('shows no part of a value or a token, wherever the cuts of a long text go through it', () => {
    const scrub = createScrubber([VALUE])!.text;
    for (let pad = 0; pad < 60; pad++) {
      const shown = shownText(`${'x'.repeat(pad * 7)} ${`${VALUE} Bearer ${TOKEN} ${TOKEN} ${'words between '.repeat(30)}`.repeat(300)}${'y'.repeat(pad * 11)}`, MOST, scrub);
      expect(shown).not.toMatch(/canary|secretive|person-|Y2Fu|YXJ5|c2lnbm|eyJ/);
      expect(shown).toContain('[Personal] Bearer [Secret] [Secret]');
      expect(Buffer.byteLength(shown)).toBeLessThanOrEqual(MOST);
    }
  });

  it('shows nothing of a token that is longer than what is looked at', () => {
    const token = `eyJhbGciOiJSUzI1NiJ9.eyJ${'Y2FuYXJ5'.repeat(20_000)}.c2lnbmF0dXJl`;
    for (const text of [`start ${token} end`, token]) expect(shownText(text, MOST)).not.toMatch(/Y2FuYXJ5|c2lnbm/);
  });

  it('shows both ends of a text without white space, and how long it was', () => {
    expect(shownText(`start${'x'.repeat(1_000_000)}end`, MOST)).toMatch(/^startx+ \[…1000008 bytes in all…\] x+end$/);
  });
});
