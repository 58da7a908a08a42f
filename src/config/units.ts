/**
 * Durations and sizes as people write them. Inside the program a duration is a whole number of
 * milliseconds and a size a whole number of bytes; only here are they text. A duration must name
 * its unit (0 needs none), because seconds and milliseconds are too easily mixed up; a bare number
 * as a size is bytes.
 */

const DURATION_UNITS: readonly (readonly [string, number])[] = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

/** Binary units come first, so that 65,536 is written `64KiB`. */
const SIZE_UNITS: readonly (readonly [string, number])[] = [
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
  ['GB', 1e9],
  ['MB', 1e6],
  ['KB', 1e3],
  ['kB', 1e3],
  ['B', 1],
];

/** What a duration looks like, for the JSON schema. */
export const DURATION_PATTERN = '^(0|[0-9]+(\\.[0-9]+)?(ms|s|m|h))$';

/** What a size looks like, for the JSON schema. */
export const SIZE_PATTERN = '^[0-9]+(\\.[0-9]+)?(B|kB|KB|MB|GB|KiB|MiB|GiB)?$';

/**
 * Milliseconds of `250ms`, `1.5s`, `10m`, `1h` or `0`; undefined when the text is none of these or
 * no whole number of milliseconds.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  return parseQuantity(text, DURATION_UNITS);
}

/**
 * Bytes of `64KiB`, `10MB` or `4096`; undefined when the text is no size or no whole number of
 * bytes.
 */
export function parseSize(text: string): number | undefined {
  const bare = /^\d+$/.test(text) ? Number(text) : undefined;
  const bytes = bare ?? parseQuantity(text, SIZE_UNITS);
  return bytes !== undefined && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest exact spelling of a duration: 60,000 becomes `1m`, 1,500 becomes `1500ms`. */
export function formatDuration(ms: number): string {
  return ms === 0 ? '0' : formatQuantity(ms, DURATION_UNITS);
}

/** The shortest exact spelling of a size: 65,536 becomes `64KiB`, 100 becomes `100B`. */
export function formatSize(bytes: number): string {
  return bytes === 0 ? '0' : formatQuantity(bytes, SIZE_UNITS);
}

function parseQuantity(text: string, units: readonly (readonly [string, number])[]): number | undefined {
  const parts = /^(\d{1,15}(?:\.\d{1,9})?)([A-Za-z]+)$/.exec(text);
  if (parts === null) return undefined;
  const [, amount = '', name = ''] = parts;
  const unit = units.find(([candidate]) => candidate === name);
  if (unit === undefined) return undefined;
  const value = Number(amount) * unit[1];
  const whole = Math.round(value);
  // 1.1s is 1100.0000000000002 in binary; anything further off than that was no whole number to
  // begin with.
  return Math.abs(value - whole) < 1e-6 && Number.isSafeInteger(whole) ? whole : undefined;
}

function formatQuantity(amount: number, units: readonly (readonly [string, number])[]): string {
  for (const [name, factor] of units) {
    if (amount % factor === 0) return `${amount / factor}${name}`;
  }
  return String(amount);
}
