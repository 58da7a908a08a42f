import fc from 'fast-check';
import t from 'tap';
import type { Walk } from '../../src/lane/head/fields.ts';
import { latin1 } from '../../src/lane/head/fields.ts';
import type { HeadReader } from '../../src/record/read.ts';
import { headDesk } from '../support/heads.ts';

const desk = headDesk();

/** Every value of the name, or the first few. */
function valuesOf(walk: Walk, head: HeadReader, most = Number.POSITIVE_INFINITY): string[] {
  const found: string[] = [];
  walk.begin(head);
  while (found.length < most && walk.next(head)) found.push(latin1(walk.bytes, walk.start, walk.length));
  return found;
}

/** Few names, of which some begin, end and count alike. */
const names = fc.constantFrom('a', 'ab', 'abc', 'azc', 'adc', 'cookie', 'crumble', 'x-user', 'x-uber');
const fields = fc.array(fc.tuple(names, fc.constantFrom('', '1', 'two', 'a=1; b=2', 'b=3;a=4 ;', ' a=5; ab=6')), { maxLength: 12 });

t.test('a field walk finds the lines of its name in order, whatever else is looked for and whoever asked before', async (t) => {
  fc.assert(
    fc.property(fields, fc.array(fc.tuple(names, fc.integer({ min: 0, max: 3 })), { maxLength: 12 }), (fields, asked) => {
      const head = desk.read({ fields });
      for (const [name, most] of asked) {
        const expected = fields.filter(([given]) => given === name).map(([, value]) => value);
        t.same(valuesOf(desk.lookups.field(name), head, most), expected.slice(0, most));
        t.same(valuesOf(desk.lookups.field(name), head), expected);
      }
    }),
    { seed: 7, numRuns: 300 },
  );
});

t.test('a cookie walk finds the values of its name in all crumbs, also after another stopped at the first', async (t) => {
  const crumbs = fc.array(
    fc.tuple(fc.constantFrom('cookie', 'x'), fc.constantFrom('', 'a=1', 'b=2; a=3', 'a=4;a=5 ; ab=6', 'a', ' b=7 ')),
    {
      maxLength: 8,
    },
  );
  fc.assert(
    fc.property(
      crumbs,
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'ab', 'c'), fc.integer({ min: 0, max: 3 })), { maxLength: 8 }),
      (fields, asked) => {
        const head = desk.read({ fields });
        const pairs = fields
          .filter(([name]) => name === 'cookie')
          .flatMap(([, line]) => line.split(';').map((pair) => pair.trim()))
          .filter((pair) => pair.includes('='))
          .map((pair) => pair.split('=', 2));
        for (const [name, most] of asked) {
          const expected = pairs.filter(([given]) => given === name).map(([, value]) => value);
          t.same(valuesOf(desk.lookups.cookie(name), head, most), expected.slice(0, most));
          t.same(valuesOf(desk.lookups.cookie(name), head), expected);
        }
      },
    ),
    { seed: 8, numRuns: 300 },
  );
});

t.test('what was found in one head is not said of the next, nor missed for a name that is looked for later', async (t) => {
  const { lookups } = desk;
  const head = desk.read({ fields: [['x-one', '1']] });
  t.same(valuesOf(lookups.field('x-one'), head), ['1']);
  t.same(valuesOf(lookups.field('x-two'), head), []);
  desk.read({ fields: [['x-two', '2']] });
  t.same(valuesOf(lookups.field('x-one'), head), []);
  t.same(valuesOf(lookups.field('x-two'), head), ['2']);
  desk.read({ fields: [['x-three', '3']] });
  t.same(valuesOf(lookups.field('x-two'), head), []);
  t.same(valuesOf(lookups.field('x-three'), head), ['3']);
});

t.test('who asks for the same gets the same', async (t) => {
  const { lookups } = desk;
  const keys = () => [{ kind: 'cookie', name: 'id', prefix4: 32, prefix6: 128 } as const];
  t.equal(lookups.field('cookie'), lookups.field('cookie'));
  t.equal(lookups.key(keys(), 'first'), lookups.key(keys(), 'first'));
  t.not(lookups.key(keys(), 'first'), lookups.key(keys(), 'all'));
  t.not(lookups.key(keys(), 'all', { low: 1, high: 2 }), lookups.key(keys(), 'all', { low: 2, high: 1 }));
});
