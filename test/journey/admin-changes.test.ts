/**
 * The admin API moves, and gets other tokens and limits, while the edge serves: the next address
 * first, and whoever asked is answered.
 */

import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { freePort } from '../support/free-port.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { reload as reloadEdge } from '../support/reload.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

t.setTimeout(240_000);

const bearer = (token?: string): Record<string, string> => (token === undefined ? {} : { authorization: `Bearer ${token}` });

const reload = (admin: string, { isDryRun = false, token }: { isDryRun?: boolean; token?: string } = {}) =>
  reloadEdge({ admin }, isDryRun, bearer(token));

const isDeaf = async (base: string): Promise<boolean> =>
  fetch(`${base}/healthz`).then(
    () => false,
    () => true,
  );

async function statusOf(url: string, token?: string): Promise<number> {
  const response = await fetch(url, { headers: bearer(token) });
  await response.arrayBuffer();
  return response.status;
}

const addressOf = (edge: Edge): string => edge.admin.replace('http://', '');

t.test('the admin API moves: who asked at the old address is answered, and then nobody listens there', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
  const client = await connectH3(t, edge.port);
  const next = `http://127.0.0.1:${await freePort()}`;
  const events = await fetch(`${edge.admin}/v1/events`);
  edge.rewrite({ config: { admin: { address: next.replace('http://', '') } } });
  t.equal((await reload(edge.admin, { isDryRun: true })).result, 'applied');
  t.ok(await isDeaf(next), 'a dry run opens nothing');
  t.match(await reload(edge.admin), { status: 200, result: 'applied' });
  t.match(await (await fetch(`${next}/v1/status`)).json(), { adminAddress: next.replace('http://', '') });
  t.match(await events.text(), /^: listening/, 'who listened to events is let go');
  await until('nobody listens at the old address', () => isDeaf(edge.admin));
  t.equal((await client.exchange()).text, 'ok');

  // And back, to an address that the edge has left itself.
  edge.rewrite({ config: { admin: { address: addressOf(edge) } } });
  t.equal((await reload(next)).result, 'applied');
  t.equal(await statusOf(`${edge.admin}/readyz`), 200);
  await until('nobody listens at the other', () => isDeaf(next));
});

t.test('an address that is taken is an answer, and nothing has changed', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  edge.rewrite({ config: { admin: { address: `127.0.0.1:${await freePort()}`, probes: { address: `127.0.0.1:${port}` } } } });
  for (const isDryRun of [true, false]) {
    const answer = await reload(edge.admin, { isDryRun });
    t.match(answer, { status: isDryRun ? 200 : 409, result: 'cannot_listen' });
    t.match(answer.detail, `the server of the probes cannot listen on 127.0.0.1:${port}; another process listens there`);
  }
  t.match(await edge.ask('/v1/status'), { adminAddress: addressOf(edge), probesAddress: '', reload: { lastResult: 'cannot_listen' } });

  const token = 'a-token-long-enough-for-anybody';
  edge.rewrite({ config: { admin: { address: `0.0.0.0:${addressOf(edge).split(':')[1]}`, token } } });
  const own = await reload(edge.admin);
  t.equal(own.result, 'cannot_listen');
  t.match(own.detail, `the edge itself listens on ${addressOf(edge)}`);
  t.equal(await statusOf(`${edge.admin}/v1/status`), 200, 'without a token, as before');
});

t.test('another token holds from the answer on, also where its file alone is another', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const file = `${edge.file}.token`;
  const [first, second] = ['the-first-token-of-this-test', 'the-second-token-of-this-test'];
  writeFileSync(file, first, { mode: 0o600 });
  edge.rewrite({ config: { admin: { address: '127.0.0.1:0', token_file: file } } });
  t.equal((await reload(edge.admin)).result, 'applied');
  t.equal(await statusOf(`${edge.admin}/v1/status`), 401);
  t.equal(await statusOf(`${edge.admin}/v1/status`, first), 200);
  const events = await fetch(`${edge.admin}/v1/events`, { headers: bearer(first) });
  writeFileSync(file, second);
  t.equal((await reload(edge.admin, { token: first })).result, 'applied');
  t.equal(await statusOf(`${edge.admin}/v1/status`, first), 401);
  t.equal(await statusOf(`${edge.admin}/v1/status`, second), 200);
  t.match(await events.text(), /^: listening/, 'what was opened with the old one ends');
  edge.rewrite({});
  t.equal((await reload(edge.admin, { token: second })).result, 'applied');
  t.equal(await statusOf(`${edge.admin}/v1/status`), 200);
});

t.test('probes come to an address of their own and leave it, and the admin API can be closed', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], isLeakChecked: false });
  const probes = `127.0.0.1:${await freePort()}`;
  edge.rewrite({ config: { admin: { address: '127.0.0.1:0', max_connections: 16, probes: { address: probes } } } });
  t.equal((await reload(edge.admin)).result, 'applied');
  t.equal(await statusOf(`http://${probes}/readyz`), 200);
  t.equal(await statusOf(`http://${probes}/v1/status`), 404);
  edge.rewrite({ config: { admin: { address: 'off', probes: { address: probes } } } });
  t.equal((await reload(edge.admin)).result, 'applied', 'the answer comes before the end');
  await until('nobody listens any more', () => isDeaf(edge.admin));
  t.equal(await statusOf(`http://${probes}/readyz`), 200);
  edge.rewrite({ config: { admin: { address: addressOf(edge) } } });
  edge.child.kill('SIGHUP');
  await until('it is there again', async () => !(await isDeaf(edge.admin)));
  await until('the probes have gone', () => isDeaf(`http://${probes}`));
  t.equal((await reload(edge.admin)).result, 'unchanged');
});
