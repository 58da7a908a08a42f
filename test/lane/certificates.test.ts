/** Rules that ask what a client's certificate says. */

import t from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import type { KeySnapshot } from '../../src/config/snapshot/key.ts';
import type { AccessSnapshot } from '../../src/config/snapshot/limit.ts';
import type { ConditionSnapshot } from '../../src/config/snapshot/match.ts';
import { tagRoute } from '../../src/lane/tag.ts';
import { HEAD_CERTIFICATE, HEAD_CERTIFICATE_VERIFIED, HEAD_IDEMPOTENT } from '../../src/record/layout.ts';
import { Play } from '../support/play.ts';
import type { SampleHead } from '../support/records.ts';
import { sampleSnapshot, sampleTenant } from '../support/snapshots.ts';

const FINGERPRINT = 'ab'.repeat(32);
const NAMES = ['Da.example.org', 'Db.other.test', 'Uspiffe://example.org/web', 'Ma@example.org', 'A192.0.2.1'];

/** A head of a client with a certificate, as the reactor tells of it. */
function verified(names: readonly string[] = NAMES, fingerprint = FINGERPRINT): Partial<SampleHead> {
  const lines = [`F${fingerprint}`, 'S0A', 'OCN=a,O=Example', 'ICN=ca', ...names];
  return { flags: HEAD_IDEMPOTENT | HEAD_CERTIFICATE | HEAD_CERTIFICATE_VERIFIED, certificate: lines.map((line) => `${line}\n`).join('') };
}

const unverified = (fingerprint = FINGERPRINT): Partial<SampleHead> => ({
  flags: HEAD_IDEMPOTENT | HEAD_CERTIFICATE,
  certificate: `F${fingerprint}\n`,
});

const is = (name: string, value: string, kind: ConditionSnapshot['kind'] = 'exact'): ConditionSnapshot => ({ name, kind, value });

/** Whether a route with these conditions takes a head before the route for all. */
function takes(certificate: readonly ConditionSnapshot[], head: Partial<SampleHead>): boolean {
  const play = new Play(sampleSnapshot({ routes: [{ match: { certificate } }, {}] }));
  return tagRoute(play.ask(head).tag) === 0;
}

t.test('a route is found by what the certificate says', async (t) => {
  for (const condition of [
    is('verdict', 'verified'),
    is('verdict', '', 'present'),
    is('fingerprint', FINGERPRINT),
    is('serial', '0A'),
    is('subject', 'CN=a,O=Example'),
    is('issuer', 'CN=ca'),
    is('dns', 'b.other.test'),
    is('dns', '.example.org', 'suffix'),
    is('uri', 'spiffe://example.org/', 'prefix'),
    is('email', 'a@example.org'),
    is('ip', '192.0.2.1'),
    is('subject', '.*O=Example', 'regex'),
  ]) {
    t.ok(takes([condition], verified()), `${condition.name} ${condition.kind}`);
    t.notOk(takes([condition], {}), `${condition.name} ${condition.kind} without a certificate`);
  }
  t.notOk(takes([is('uri', 'spiffe://example.org')], verified()));
  t.notOk(takes([is('dns', 'example.org')], verified()), 'a name of another kind is not looked at');
  t.ok(takes([is('verdict', '', 'absent')], {}));
  t.notOk(takes([is('uri', 'spiffe://example.org/', 'prefix'), is('dns', 'c.test')], verified()), 'all must fit');
});

t.test('a certificate that was not verified has a fingerprint and nothing else', async (t) => {
  for (const name of ['serial', 'subject', 'issuer', 'dns', 'uri', 'email', 'ip']) {
    t.notOk(takes([is(name, '', 'present')], unverified()), name);
  }
  t.notOk(takes([is('verdict', 'verified')], unverified()));
  t.ok(takes([is('verdict', 'unverified')], unverified()));
  t.ok(takes([is('fingerprint', FINGERPRINT)], unverified()));
});

t.test('access lists admit and refuse by certificate, and deny wins', async (t) => {
  const access: AccessSnapshot = {
    allow: [],
    deny: [],
    certificates: [[is('uri', 'spiffe://example.org/', 'prefix')], [is('subject', 'CN=b'), is('issuer', 'CN=ca')]],
    deniedCertificates: [[is('fingerprint', 'cd'.repeat(32))]],
  };
  const play = new Play(sampleSnapshot({ routes: [{ access }] }));
  const denied = { state: 'answered', status: 403, reason: reasonNumber('access_denied') };
  t.match(play.ask(verified()), { state: 'forwarded' });
  t.match(play.ask(verified(['Uspiffe://other.test/web'])), denied);
  t.match(play.ask(verified(NAMES, 'cd'.repeat(32))), denied, 'what is denied is not allowed');
  t.match(play.ask(unverified()), denied);
  t.match(play.ask(), denied);
});

t.test('a limit counts by certificate, also by several names of one', async (t) => {
  const by = (name: string): KeySnapshot[] => [{ kind: 'certificate', name, prefix4: 32, prefix6: 128 }];
  for (const name of ['fingerprint', 'dns']) {
    const limit = { name: 'l', keys: by(name), requests: 1, periodMs: 3_600_000, burst: 1, maxKeys: 100, isShared: false } as const;
    const play = new Play(sampleSnapshot({ routes: [{ rateLimits: [{ ...limit, onStoreFailure: 'local' }] }] }));
    const other = verified(['Da.example.org', 'Dc.other.test'], 'cd'.repeat(32));
    t.match(play.ask(verified()), { state: 'forwarded' }, name);
    t.match(play.ask(verified()), { status: 429 });
    t.match(play.ask(other), { state: 'forwarded' }, `another ${name}`);
    t.match(play.ask(other), { status: 429 });
  }
});

t.test('a tenant is told by a certificate', async (t) => {
  const tenants = [sampleTenant({ name: 'acme', certificate: 'uri', certificateValue: 'spiffe://example.org/web' })];
  const play = new Play(sampleSnapshot({ tenants, routes: [{ match: { tenant: 0 } }, {}] }));
  t.equal(tagRoute(play.ask(verified()).tag), 0);
  t.equal(tagRoute(play.ask(verified(['Uspiffe://example.org/web2'])).tag), 1);
  t.equal(tagRoute(play.ask(unverified()).tag), 1);
});
