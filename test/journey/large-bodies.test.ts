/**
 * Bodies far larger than memory should notice: 100 MiB and 1 GiB both ways, unharmed, with less
 * than 16 MiB of growth.
 */

import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { byPath, digests, POUR_BLOCK, pourDigest, pours } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { peakResidentBytes, residentBytes } from '../support/process.ts';

const MIB = 1024 * 1024;
const MOST_GROWTH = 16 * MIB;

t.setTimeout(600_000);

for (const [name, total] of [
  ['100 MiB', 100 * MIB],
  ['1 GiB', 1024 * MIB],
] as const) {
  t.test(`${name} comes down whole and the edge stays small`, { skip: missingAddon, timeout: 300_000 }, async (t) => {
    const { client, edge } = await pair(t, total);
    const opened = await client.open({ path: '/pour' });
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of opened.stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      hash.update(chunk);
    }
    t.equal(bytes, total);
    t.equal(hash.digest('hex'), pourDigest(total));
    checkGrowth(t, edge.pid, edge.before);
  });

  t.test(`${name} goes up whole and the edge stays small`, { skip: missingAddon, timeout: 300_000 }, async (t) => {
    const { client, edge } = await pair(t, total);
    const opened = await client.open({ method: 'PUT', path: '/digest' }, false);
    for (let left = total; left > 0; left -= POUR_BLOCK.length) {
      if (!opened.stream.write(POUR_BLOCK)) await new Promise((resolve) => opened.stream.once('drain', resolve));
    }
    opened.stream.end();
    const chunks: Buffer[] = [];
    for await (const chunk of opened.stream as AsyncIterable<Buffer>) chunks.push(chunk);
    t.same(JSON.parse(Buffer.concat(chunks).toString()), { bytes: total, sha256: pourDigest(total) });
    checkGrowth(t, edge.pid, edge.before);
  });
}

/**
 * An edge that has warmed up on a smaller body of each kind, so that growth is growth and not the
 * first use of a buffer.
 */
async function pair(t: Test, total: number) {
  const origin = await startH2Origin(t, byPath({ '/pour': pours(total), '/warm': pours(4 * MIB), '/digest': digests }));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  await client.exchange({ path: '/warm' });
  await client.exchange({ path: '/digest', body: Buffer.alloc(4 * MIB) });
  return { client, edge: { pid: edge.pid, before: residentBytes(edge.pid) } };
}

function checkGrowth(t: Test, pid: number, before: number): void {
  const growth = peakResidentBytes(pid) - before;
  t.ok(growth < MOST_GROWTH, `grew by ${(growth / MIB).toFixed(1)} MiB`);
}
