/**
 * Certificates are changed under load, in every way tools change files, with all kinds of broken
 * ones in between: the next handshake shows what was changed, and nobody else notices. `ROTATIONS`
 * and `ROTATION_MS` make it longer (`make rotations`: 100 in a minute).
 */

import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@currentspace/http3';
import t, { type Test } from 'tap';
import type { CertificateView } from '../../src/control/certificates/listener-certificates.ts';
import { certificates } from '../support/certificates.ts';
import { missingAioquic, readySerialAioquic } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { BROKEN, type Broken, makePair, type Pair, serialOf } from '../support/pairs.ts';
import { createFeed, fed, startUnderWay } from '../support/under-way.ts';
import { until } from '../support/wait.ts';

const ROTATIONS = Number(process.env['ROTATIONS'] || 10);
/** From one rotation to the next; 0 for as soon as it was seen. */
const ROTATION_MS = Number(process.env['ROTATION_MS'] || 0);

const skip = missingAddon || missingAioquic;

const folderOf = (t: Test): string => t.testdir({ made: {}, k8s: {}, live: {}, archive: {}, flat: {} });

/** Ways to put a pair in the place of another, each with files of its own. */
function waysOf(folder: string, first: Pair) {
  let number = 0;
  const at = (name: string): string => join(folder, name);
  const write = (chain: string, key: string, pair: Pair): void => {
    writeFileSync(chain, pair.chain);
    writeFileSync(key, pair.key, { mode: 0o600 });
  };
  const link = (target: string, path: string): void => {
    symlinkSync(target, `${path}.tmp`);
    renameSync(`${path}.tmp`, path);
  };
  const ways = {
    'written in place': {
      chain: at('flat/a.pem'),
      key: at('flat/a.key'),
      put: (pair: Pair) => write(at('flat/a.pem'), at('flat/a.key'), pair),
    },
    'renamed over': {
      chain: at('flat/b.pem'),
      key: at('flat/b.key'),
      put(pair: Pair) {
        write(at('flat/b.pem.new'), at('flat/b.key.new'), pair);
        renameSync(at('flat/b.pem.new'), at('flat/b.pem'));
        renameSync(at('flat/b.key.new'), at('flat/b.key'));
      },
    },
    Kubernetes: {
      chain: at('k8s/tls.crt'),
      key: at('k8s/tls.key'),
      put(pair: Pair) {
        const version = `..v${++number}`;
        mkdirSync(at(`k8s/${version}`));
        write(at(`k8s/${version}/tls.crt`), at(`k8s/${version}/tls.key`), pair);
        link(version, at('k8s/..data'));
        if (number === 1) for (const name of ['tls.crt', 'tls.key']) symlinkSync(`..data/${name}`, at(`k8s/${name}`));
      },
    },
    certbot: {
      chain: at('live/fullchain.pem'),
      key: at('live/privkey.pem'),
      put(pair: Pair) {
        number += 1;
        write(at(`archive/fullchain${number}.pem`), at(`archive/privkey${number}.pem`), pair);
        for (const name of ['fullchain', 'privkey']) {
          rmSync(at(`live/${name}.pem`), { force: true });
          symlinkSync(`../archive/${name}${number}.pem`, at(`live/${name}.pem`));
        }
      },
    },
    'the folder replaced': {
      chain: at('whole/c.pem'),
      key: at('whole/c.key'),
      put(pair: Pair) {
        const next = at(`whole-${++number}`);
        mkdirSync(next);
        write(join(next, 'c.pem'), join(next, 'c.key'), pair);
        rmSync(at('whole'), { recursive: true, force: true });
        renameSync(next, at('whole'));
      },
    },
  };
  for (const { put } of Object.values(ways)) put(first);
  return ways;
}

/** What an edge shows of its certificates. */
async function shown(edge: Edge): Promise<CertificateView[]> {
  return ((await edge.ask('/v1/certificates')) as { certificates: CertificateView[] }).certificates;
}

async function reload(edge: Edge): Promise<{ status: number; text: string }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${edge.admin}/v1/certificates/reload`, { method: 'POST', headers, body: '{}' });
  return { status: response.status, text: await response.text() };
}

// Starts of openssl and of Python, one for each rotation.
t.setTimeout(600_000);

t.test(
  `${ROTATIONS} rotations under load, broken files in between: each next handshake shows the new serial, nothing else notices`,
  { skip, timeout: 500_000 },
  async (t) => {
    const folder = folderOf(t);
    const names = ['localhost', 'b.test', 'k8s.test', 'certbot.test', 'whole.test'];
    const first = { ...certificates(), serial: serialOf(certificates().chain) };
    const ways = waysOf(folder, makePair(join(folder, 'made'), names.join(',DNS:')));
    // The kept connection verifies what it is given: the first certificate is of its authority.
    ways['written in place'].put(first);
    // Before the load, because OpenSSL is waited for.
    const made = Array.from({ length: ROTATIONS }, (_, round) => {
      const name = names[round % names.length] as string;
      return [makePair(join(folder, 'made'), name), makePair(join(folder, 'made'), name)];
    });
    const feed = createFeed();
    const origin = await startH2Origin(t, fed(feed, 'found'));
    const edge = await startEdge(t, {
      backends: [origin.url],
      shards: 2,
      listener: {
        certificates: Object.values(ways).map(({ chain, key }, i) => ({ names: [names[i]], chain, key })),
      },
    });

    const underWay = await startUnderWay(t, edge.port, feed);
    const inUse = Object.values(ways).map(({ chain }) => readFileSync(chain, 'utf8'));
    const seenAfterMs: number[] = [];
    const startedMs = performance.now();
    let refusals = 0;
    for (let round = 0; round < ROTATIONS; round += 1) {
      const beganMs = performance.now();
      const place = round % names.length;
      const [what, { chain, key, put }] = Object.entries(ways)[place] as [string, (typeof ways)['certbot']];
      const servername = names[place] as string;
      const [next, other] = made[round] as [Pair, Pair];
      const broken = BROKEN[round % BROKEN.length] as Broken;
      const serialAfter = readySerialAioquic(t);

      put(broken.make(next, other));
      const refused = await reload(edge);
      if (refused.status === 422) refusals += 1;
      t.equal(refused.status, 422, `${broken.what} is refused`);
      t.match(refused.text, broken.file === 'chain' ? chain : key, 'and the file is named');
      t.match(refused.text, broken.message);
      t.ok(await isServed(edge.port, servername, inUse[place] as string), `${broken.what} changes nothing`);

      if (what === 'written in place') {
        // Half of it first, for long enough to be read: nobody is to hear of it.
        writeFileSync(chain, next.chain.slice(0, 300));
        await sleep(150);
      }
      const changedMs = performance.now();
      put(next);
      await until(`${what}: ${next.serial} is in use`, async () => serialsMatch((await shown(edge))[place]?.serial, next.serial));
      seenAfterMs.push(performance.now() - changedMs);
      t.equal(await serialAfter(edge.port, { servername, ca: undefined }), next.serial, `${what}: the next handshake shows it`);
      inUse[place] = next.chain;
      await sleep(Math.max(0, ROTATION_MS - (performance.now() - beganMs)));
    }

    const tookMs = performance.now() - startedMs;
    await underWay.end();
    const metrics = await edge.metrics();
    t.equal(metrics.sum('lychgate_certificate_reloads_total', { result: 'changed' }), ROTATIONS);
    t.equal(metrics.sum('lychgate_certificate_reloads_total', { result: 'refused' }), refusals);
    t.equal(metrics.sum('lychgate_certificate_refused'), 0, 'all that is on disk is in use');
    t.equal(
      metrics.sum('lychgate_certificate_expiry_timestamp_seconds', { certificate: 'b.test' }),
      Date.parse((await shown(edge))[1]?.notAfter ?? '') / 1000,
    );
    seenAfterMs.sort((a, b) => a - b);
    const took = `${ROTATIONS} rotations in ${(tookMs / 1000).toFixed(1)} s`;
    const [median = 0, worst = 0] = [seenAfterMs[Math.floor(ROTATIONS / 2)], seenAfterMs.at(-1)];
    t.comment(
      `${took}, in use after ${median.toFixed(0)} ms (median), ${worst.toFixed(0)} ms (worst); ${underWay.counts.requests} requests`,
    );

    // Whatever was refused, and whatever else was said: no line of a key.
    const secrets = made.flat().flatMap(({ key }) => key.split('\n').slice(1, 3));
    const said = [
      edge.log.map((line) => JSON.stringify(line)).join('\n'),
      metrics.text,
      JSON.stringify(await shown(edge)),
      JSON.stringify(await edge.ask('/v1/config')),
    ].join('\n');
    t.same(
      secrets.filter((secret) => said.includes(secret.slice(0, 24))),
      [],
      'no key is shown',
    );
  },
);

/**
 * Whether a handshake gets this certificate: a client that trusts no other goes through with it.
 */
async function isServed(port: number, servername: string, chain: string): Promise<boolean> {
  // One that is signed by an authority is trusted by that.
  const ca = new X509Certificate(chain).checkIssued(new X509Certificate(chain)) ? chain : certificates().ca;
  const session = connect({ address: '127.0.0.1', port, servername }, { ca, runtimeMode: 'portable', connectTimeoutMs: 10_000 });
  session.on('error', () => {});
  return session
    .ready()
    .then(
      () => true,
      () => false,
    )
    .finally(() => session.close().catch(() => {}));
}

function serialsMatch(shownSerial: string | undefined, serial: string): boolean {
  return shownSerial?.replace(/^0+/, '') === serial;
}

t.test(
  'what is wrong with a file that changed is told by log, event, metric and API, once, and is forgotten when it is right again',
  { skip: missingAddon },
  async (t) => {
    const folder = folderOf(t);
    const [good, other] = [makePair(join(folder, 'made')), makePair(join(folder, 'made'))];
    const { chain, key, put } = waysOf(folder, good)['renamed over'];
    const origin = await startH2Origin(t, (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
    const edge = await startEdge(t, {
      backends: [origin.url],
      listener: { certificates: [{ names: ['localhost'], chain, key }] },
      config: { certificates: { poll: '1s' } },
    });
    put({ ...good, key: other.key });
    const refusal = await until('it is refused', async () => (await shown(edge))[0]?.refusal);
    t.equal(refusal.message, `${key}: the key does not belong to the certificate`);
    t.equal((await edge.metrics()).sum('lychgate_certificate_refused', { listener: 'public', certificate: 'localhost' }), 1);
    // It is looked at again every second, and told no second time.
    await sleep(2_500);
    const lines = edge.log.filter(({ msg }) => msg === 'certificate refused; the one before stays in use');
    t.match(lines, [{ level: 'error', listener: 'public', certificate: 'localhost', fault: refusal.message }]);
    t.equal(lines.length, 1);
    t.equal((await edge.metrics()).sum('lychgate_events_total', { event: 'certificate_refused' }), 1);
    t.equal((await edge.metrics()).sum('lychgate_certificate_reloads_total', { result: 'refused' }), 1);
    put(other);
    await until('it is in use', async () => serialsMatch((await shown(edge))[0]?.serial, other.serial));
    t.equal((await shown(edge))[0]?.refusal, null);
    t.equal((await edge.metrics()).sum('lychgate_certificate_refused'), 0);
  },
);

t.test('where files are not watched they change when somebody asks', { skip: missingAddon }, async (t) => {
  const folder = folderOf(t);
  const [good, next] = [makePair(join(folder, 'made')), makePair(join(folder, 'made'))];
  const { chain, key, put } = waysOf(folder, good)['renamed over'];
  const origin = await startH2Origin(t, (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
  const edge = await startEdge(t, {
    backends: [origin.url],
    listener: { certificates: [{ names: ['localhost'], chain, key }] },
    config: { certificates: { watch: false } },
  });
  put(next);
  await sleep(500);
  t.ok(serialsMatch((await shown(edge))[0]?.serial, good.serial));
  t.match(await reload(edge), { status: 200, text: /"result":"changed"/ });
  t.ok(serialsMatch((await shown(edge))[0]?.serial, next.serial));
  t.match(await reload(edge), { status: 200, text: /"result":"unchanged"/ });
});
