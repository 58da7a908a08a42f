/**
 * Links that carry less than Ethernet does: what is too long for one vanishes, and nobody says so.
 */

import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { type AioquicClient, connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { EDGE_ADDRESS, inNamespace, isInside, type Links, layLinks, missingNamespaces } from '../support/namespaces.ts';
import { byPath, pours } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const BYTES = 8 * 1024 * 1024;

const skip = missingAddon || missingAioquic || missingNamespaces;

if (isInside) {
  t.test('a response passes a link of 1,300 bytes', async (t) => {
    const { edge, client } = await layBed(t, (links) => links.setMtu('client', 1_300));
    await fetches(client, edge);
    await isWhole(t, edge);
  });

  for (const link of ['client', 'edge'] as const) {
    t.test(`a response passes when the link of the ${link} shrinks to 1,300 bytes in the middle of it`, async (t) => {
      const { edge, links, client } = await layBed(t);
      const stream = await client.request(getHead(edge.port, '/down'));
      // Once it is far enough into the response, whole frames fill the link.
      await until('the middle', () => client.events.filter((one) => one.event === 'data').length > 200);
      links.setMtu(link, 1_300);
      t.equal((await client.wait('end', stream, 30_000)).bytes, BYTES);
      await fetches(client, edge);
      await isWhole(t, edge);
    });
  }
} else {
  t.test('responses pass narrow links, in namespaces of their own', { skip, timeout: 120_000 }, async (t) => {
    const { code, output } = await inNamespace(fileURLToPath(import.meta.url));
    t.equal(code, 0, 'every test inside passes', { diagnostic: code !== 0, output: code === 0 ? '' : output.split('\n') });
    t.match(output, /^ok 3 - /m, 'there were three of them');
  });
}

async function layBed(t: Test, prepare: (links: Links) => void = () => {}): Promise<{ edge: Edge; links: Links; client: AioquicClient }> {
  const links = await layLinks(t);
  prepare(links);
  const origin = await startH2Origin(t, byPath({ '/down': pours(BYTES) }));
  const edge = await startEdge(t, { backends: [origin.url], listener: { address: `${EDGE_ADDRESS}:0` } });
  const client = await connectAioquic(t, edge.port, { host: EDGE_ADDRESS }, links.atClient);
  return { edge, links, client };
}

async function fetches(client: AioquicClient, edge: Edge): Promise<void> {
  const stream = await client.request(getHead(edge.port, '/down'));
  const { bytes } = await client.wait('end', stream, 30_000);
  if (bytes !== BYTES) throw new Error(`${bytes} bytes came`);
}

/** One connection did all, and segmentation was not blamed for the link. */
async function isWhole(t: Test, edge: Edge): Promise<void> {
  const metrics = await edge.metrics();
  t.equal(metrics.sum('lychgate_connections_opened_total'), 1, 'it is one connection');
  t.equal(metrics.sum('lychgate_gso_fallbacks_total'), 0, 'segmentation goes on');
}
