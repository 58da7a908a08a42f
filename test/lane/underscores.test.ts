import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { compilePlans } from '../../src/lane/plan/table.ts';
import { HEAD_IDEMPOTENT, HEAD_UNDERSCORE } from '../../src/record/layout.ts';
import { standLane } from '../support/lanes.ts';
import { sampleAttemptFailed } from '../support/records.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const FLAGS = HEAD_IDEMPOTENT | HEAD_UNDERSCORE;
const FIELDS: [string, string][] = [
  ['x-plain', 'a_b'],
  ['x_real_ip', '10.0.0.1'],
  ['x_user', 'me'],
  ['x_real_ip', '10.0.0.2'],
];

t.test(
  'a head with such names goes on by the plan that drops them, its retries too; each is counted and the first of each name told',
  async (t) => {
    const snapshot = sampleSnapshot({ claims: { underscoreNames: ['x_user'] } });
    const { ofRoute } = compilePlans(snapshot);
    const dropping = ofRoute[0]!.of(0, 0, 0, true);
    t.not(dropping, ofRoute[0]!.of(0, 0, 0, false));
    const stand = standLane(snapshot);
    const [first] = stand.ask({ flags: FLAGS, fields: FIELDS });
    t.match(first, { kind: 'forward', plan: dropping });
    if (first?.kind !== 'forward') throw new Error('nothing was forwarded');
    const [memo0, memo1, memo2] = first.memo;
    stand.reactor.offerAttemptFailed(
      sampleAttemptFailed({ tag: first.tag, slot: first.slot, memo0, memo1, memo2, reason: reasonNumber('connect_failed') }),
    );
    stand.lane.decide();
    t.match(stand.reactor.decisions(), [{ kind: 'forward', plan: dropping }]);
    stand.ask({ flags: FLAGS, fields: FIELDS });
    const codes = stand.noted.notes.filter(({ note }) => note.startsWith('underscore'));
    t.equal(codes.filter(({ note }) => note === 'underscore_dropped').length, 4);
    t.match(
      codes.filter(({ note }) => note === 'underscore_met'),
      [{ text: 'x_real_ip' }],
    );
  },
);

t.test('a head whose names all pass goes on by the plain plan', async (t) => {
  const snapshot = sampleSnapshot({ claims: { underscoreNames: ['x_user'] } });
  const { ofRoute } = compilePlans(snapshot);
  const stand = standLane(snapshot);
  t.match(stand.ask({ flags: FLAGS, fields: [['x_user', 'me']] }), [{ plan: ofRoute[0]!.of(0, 0, 0, false) }]);
  t.strictSame(stand.noted.notes, []);
});

t.test('where they are refused the request gets 400, and where they pass nothing is looked at', async (t) => {
  const refusing = standLane(sampleSnapshot({ claims: { underscores: 'refuse' } }));
  t.match(refusing.ask({ flags: FLAGS, fields: FIELDS }), [{ kind: 'respond', status: 400, reason: reasonNumber('request_malformed') }]);
  t.equal(refusing.noted.notes.filter(({ note }) => note === 'underscore_refused').length, 3);
  const passing = standLane(sampleSnapshot({ claims: { underscores: 'pass' } }));
  t.match(passing.ask({ flags: FLAGS, fields: FIELDS }), [{ kind: 'forward' }]);
  t.strictSame(passing.noted.notes, []);
});

t.test('a client that makes up names is told of 64 times', async (t) => {
  const stand = standLane(sampleSnapshot());
  for (let i = 0; i < 100; i++) stand.ask({ flags: FLAGS, fields: [[`x_${i}`, '1']] });
  t.equal(stand.noted.notes.filter(({ note }) => note === 'underscore_met').length, 64);
});
