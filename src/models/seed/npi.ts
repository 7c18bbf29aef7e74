/**
 * The National Provider Identifier of nine digits: the tenth is a check digit, by Luhn's rule over the number with 80840
 * before it, the prefix of US health care (45 CFR 162.406; CMS, "Requirements for National Provider Identifier (NPI) and NPI
 * Check Digit"). They begin with 1 or 2; none that begins with 2 has been given out so far, so those are fit for tests.
 * @throws {RangeError} unless `digits` are nine and begin with 1 or 2
 */
export function npiOf(digits: string): string {
  if (!/^[12]\d{8}$/.test(digits)) throw new RangeError(`'${digits}' is not nine digits from 1 or 2 on`);
  return digits + checkDigit(`80840${digits}`);
}

/** Whether `text` could be one: ten digits whose check digit fits. It may have been given to nobody. */
export const isNpi = (text: string): boolean => /^[12]\d{9}$/.test(text) && npiOf(text.slice(0, 9)) === text;

/** Luhn's rule (ISO/IEC 7812-1): from the right, every other digit counts twice, and as the sum of its digits. */
function checkDigit(digits: string): string {
  const sum = digits.split('').toReversed().reduce((total, digit, place) => {
    const value = Number(digit) * (place % 2 === 0 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return String((10 - (sum % 10)) % 10);
}
