/**
 * What the machine is short of is counted and told with the limit to raise: descriptors, receive
 * buffers.
 */
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { findProgram } from '../support/process.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || (findProgram('prlimit') === undefined ? 'prlimit (util-linux) is not installed' : false);

t.test('an edge without a descriptor left says which limit to raise, and serves again when it has some', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], isLeakChecked: false });
  const limits = /^Max open files\s+(\d+)\s+(\d+)/m.exec(readFileSync(`/proc/${edge.pid}/limits`, 'utf8'))!;
  t.equal(limits[1], limits[2], 'the limit is the hard one');
  t.match(
    edge.log.find(({ target }) => target === 'limits'),
    { limit: Number(limits[1]), hardLimit: Number(limits[2]), msg: 'limit of open descriptors' },
  );
  const client = await connectH3(t, edge.port);
  const allow = (descriptors: string) => spawnSync('prlimit', ['--pid', String(edge.pid), `--nofile=${descriptors}:`]);
  allow('8');
  t.equal((await client.exchange()).status, 502);
  const told = () => edge.log.filter(({ msg }) => String(msg).includes('raise LimitNOFILE='));
  await until('it is told', () => told().length === 1);
  allow(limits[1]!);
  t.equal((await client.exchange()).status, 200);
  const metrics = await edge.metrics();
  t.ok(metrics.sum('lychgate_upstream_connects_total', { outcome: 'no_descriptor' }) > 0);
  t.equal(metrics.sum('lychgate_upstream_connects_total', { outcome: 'failed' }), 0);
  t.equal(metrics.sum('lychgate_descriptors_limit'), Number(limits[1]));
  t.ok(metrics.sum('lychgate_descriptors') > 10);
  t.equal(told().length, 1, 'once a minute');
});

t.test('datagrams that a full receive buffer loses are told with the limits to raise', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], listener: { quic: { receive_buffer: '64KiB' } }, shards: 1 });
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  const send = (count: number) =>
    Promise.all(
      Array.from(
        { length: count },
        () => new Promise<void>((resolve) => socket.send(Buffer.alloc(1_000), edge.port, '127.0.0.1', () => resolve())),
      ),
    );
  edge.child.kill('SIGSTOP');
  await send(1_000);
  edge.child.kill('SIGCONT');
  await until('it is told', async () => {
    // The kernel tells with a datagram that it takes.
    await send(1);
    return edge.log.some(
      ({ msg, level }) => level === 'warn' && /listeners\[\]\.quic\.receive_buffer and net\.core\.rmem_max/.test(String(msg)),
    );
  });
  t.ok((await edge.metrics()).sum('lychgate_receive_buffer_overflows_total') > 500);
});
