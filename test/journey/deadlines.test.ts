/**
 * Deadlines of clients: they shorten the exchange, and what is left of them goes on to the backend.
 */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { isSilent, tellsFields } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;
const ROUTE = { timeouts: { exchange: '20s', grpc: true, deadline_header: 'x-deadline-ms' } };

t.test('grpc-timeout is lowered by what has passed before it goes on', { skip }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url], route: ROUTE });
  const client = await connectH3(t, edge.port);

  const response = await client.exchange({ headers: { 'grpc-timeout': '5S' } });
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(JSON.parse(response.text)['grpc-timeout']) ?? [];
  const ms = Number(digits) * ({ S: 1_000, m: 1, u: 1e-3 }[unit as 'S' | 'm' | 'u'] ?? Number.NaN);
  t.ok(ms > 3_000 && ms <= 5_000, `${digits}${unit}`);
});

t.test('a field of the operator\u2019s choice is lowered in the same way', { skip }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url], route: ROUTE });
  const client = await connectH3(t, edge.port);
  const told = JSON.parse((await client.exchange({ headers: { 'x-deadline-ms': '4000' } })).text);
  t.ok(Number(told['x-deadline-ms']) > 2_000 && Number(told['x-deadline-ms']) <= 4_000, told['x-deadline-ms']);
});

t.test('an exchange ends with the deadline of its client', { skip }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, { backends: [origin.url], route: ROUTE });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange({ headers: { 'x-deadline-ms': '80' } });
  t.equal(response.status, 504);
  t.match(JSON.parse(response.text), { error: 'exchange_timeout' });
  await until('the attempt was taken back', () => origin.open === 0);
});

t.test('a deadline that has passed is answered without asking anyone', { skip }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url], route: ROUTE });
  const client = await connectH3(t, edge.port);
  t.equal((await client.exchange({ headers: { 'x-deadline-ms': '0' } })).status, 504);
  t.equal(origin.requests, 0);
});

t.test('a gRPC client is told of its deadline, and of every failure, in terms of gRPC', { skip }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, {
    backends: [origin.url],
    config: {
      routes: [
        { match: { path: '/small' }, upstream: 'web', max_body: '1KiB', ...ROUTE },
        { match: { path: '/slow' }, upstream: 'web', timeouts: { head: '80ms' }, retries: { attempts: 0 } },
        { match: { path: '/' }, upstream: 'web', ...ROUTE },
      ],
    },
  });
  const client = await connectH3(t, edge.port);
  const ask = (path: string, headers: Record<string, string> = {}, body = 'x') =>
    client.exchange({ method: 'POST', path, headers: { 'content-type': 'application/grpc+proto', ...headers }, body });
  const told = (status: string, code: string) => ({
    status: 200,
    text: '',
    headers: { 'content-type': 'application/grpc', 'grpc-status': status, 'grpc-message': code },
  });
  t.match(await ask('/call', { 'grpc-timeout': '80m' }), told('4', 'exchange_timeout'), 'found out by the reactor');
  t.match(await ask('/call', { 'x-deadline-ms': '0' }), told('4', 'exchange_timeout'), 'found out by the lane');
  t.match(await ask('/slow'), told('14', 'head_timeout'));
  t.match(await ask('/small', {}, 'x'.repeat(2_000)), told('2', 'request_body_too_large'));
  t.match(
    await ask('/call', { 'content-type': 'application/grpc-web', 'grpc-timeout': '80m' }),
    { status: 504 },
    'gRPC-Web reads HTTP statuses',
  );
});
