import t from 'tap';
import { filled } from '../../src/base/fill.ts';

const MARGINS = { first: '- ', rest: '  ' };

t.test('lines hold what fits, the first with its margin and the others with theirs', async (t) => {
  t.strictSame(filled('one two three', 11, MARGINS), ['- one two', '  three']);
  t.strictSame(filled('one two', 9, MARGINS), ['- one two'], 'to the last column');
  t.strictSame(filled('one two', 8, MARGINS), ['- one', '  two']);
});

t.test('code and long words are not broken', async (t) => {
  t.strictSame(filled('ask `lychgate cert list`, then', 16, MARGINS), ['- ask', '  `lychgate cert list`,', '  then']);
  t.strictSame(filled('extraordinary words', 8, MARGINS), ['- extraordinary', '  words']);
});

t.test('of no words come no lines', async (t) => {
  t.strictSame(filled('', 80, MARGINS), []);
});
