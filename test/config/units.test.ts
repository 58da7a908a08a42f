import fc from 'fast-check';
import t from 'tap';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/units.ts';

t.test('a duration is read in every unit', async (t) => {
  t.equal(parseDuration('250ms'), 250);
  t.equal(parseDuration('10s'), 10_000);
  t.equal(parseDuration('5m'), 300_000);
  t.equal(parseDuration('1h'), 3_600_000);
  t.equal(parseDuration('1.5s'), 1500);
  t.equal(parseDuration('1.1s'), 1100);
  t.equal(parseDuration('0'), 0);
});

t.test('what is no duration is refused', async (t) => {
  for (const text of ['', '10', 's', '-1s', '1 s', '1S', '1d', '0.5ms', '1e3s', '1s1s', '٣s', `${'9'.repeat(30)}h`]) {
    t.equal(parseDuration(text), undefined, JSON.stringify(text));
  }
});

t.test('a size is read in every unit, and bare as bytes', async (t) => {
  t.equal(parseSize('64KiB'), 65_536);
  t.equal(parseSize('1MiB'), 1_048_576);
  t.equal(parseSize('10MB'), 10_000_000);
  t.equal(parseSize('1.5GiB'), 1_610_612_736);
  t.equal(parseSize('4096'), 4096);
  t.equal(parseSize('12B'), 12);
});

t.test('what is no size is refused', async (t) => {
  for (const text of ['', '-1', '1 KiB', '1kib', '1TiB', '0.3B', 'KiB', '99999999999999999999']) {
    t.equal(parseSize(text), undefined, JSON.stringify(text));
  }
});

t.test('whatever is written can be read again', async () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (ms) => parseDuration(formatDuration(ms)) === ms));
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (bytes) => parseSize(formatSize(bytes)) === bytes));
});

t.test('the largest unit that fits is written', async (t) => {
  t.equal(formatDuration(60_000), '1m');
  t.equal(formatDuration(1500), '1500ms');
  t.equal(formatSize(65_536), '64KiB');
  t.equal(formatSize(10_000_000), '10MB');
  t.equal(formatSize(100), '100B');
});
