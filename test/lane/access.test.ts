import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import type { AccessSnapshot } from '../../src/config/snapshot/limit.ts';
import { Play } from '../support/play.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const DENIED = { state: 'answered', status: 403, reason: reasonNumber('access_denied') };
const FORWARDED = { state: 'forwarded' };

const listed = (given: Partial<AccessSnapshot>): AccessSnapshot => ({
  allow: [],
  deny: [],
  certificates: [],
  deniedCertificates: [],
  ...given,
});

const v4 = (text: string) => ({ family: 4 as const, address: text.split('.').map(Number) });
const v6 = (...groups: number[]) => ({ family: 6 as const, address: groups.flatMap((group) => [group >> 8, group & 255]) });

t.test('with an allow list only its blocks come in, and deny wins inside them', async (t) => {
  const access = listed({ allow: ['192.0.2.0/24', '2001:db8::/32'], deny: ['192.0.2.66/32', '2001:db8:bad::/48'] });
  const play = new Play(sampleSnapshot({ routes: [{ access }] }));
  t.match(play.ask(v4('192.0.2.1')), FORWARDED);
  t.match(play.ask(v4('192.0.2.66')), DENIED);
  t.match(play.ask(v4('192.0.3.1')), DENIED);
  t.match(play.ask(v6(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1)), FORWARDED);
  t.match(play.ask(v6(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1)), DENIED);
  t.match(play.ask(v6(0x2001, 0xdb9, 0, 0, 0, 0, 0, 1)), DENIED);
});

t.test('an IPv4 client in IPv6 form is held against IPv4 blocks', async (t) => {
  const play = new Play(sampleSnapshot({ routes: [{ access: listed({ allow: [], deny: ['192.0.2.0/24'] }) }] }));
  t.match(play.ask(v6(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201)), DENIED);
  t.match(play.ask(v6(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0301)), FORWARDED);
});

t.test('with a deny list alone everyone else comes in, and other routes know nothing of it', async (t) => {
  const routes = [{ match: { path: '/a' }, access: listed({ allow: [], deny: ['10.0.0.0/8'] }) }, { match: { path: '/b' } }];
  const play = new Play(sampleSnapshot({ routes }));
  t.match(play.ask({ ...v4('10.1.2.3'), path: '/a' }), DENIED);
  t.match(play.ask({ ...v4('11.1.2.3'), path: '/a' }), FORWARDED);
  t.match(play.ask({ ...v4('10.1.2.3'), path: '/b' }), FORWARDED);
});

t.test('who is denied is told nothing of limits', async (t) => {
  const play = new Play(sampleSnapshot({ routes: [{ access: listed({ allow: ['10.0.0.0/8'], deny: [] }) }] }));
  t.notOk('retry-after' in play.ask().fields);
});
