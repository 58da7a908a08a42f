/**
 * Datagrams that are lost, late or overtaken: every request is answered, and every exchange ends
 * with a line in the access log.
 */

import t from 'tap';
import { type AioquicClient, connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { startRelay } from '../support/relay.ts';
import { until } from '../support/wait.ts';

const REQUESTS = 10_000;
const AT_ONCE = 100;

t.test(
  `${REQUESTS} requests over a path that loses and reorders are all answered`,
  { skip: missingAddon || missingAioquic, timeout: 300_000 },
  async (t) => {
    const origin = await startH2Origin(t, answers('answered'));
    const edge = await startEdge(t, { backends: [origin.url], shards: 1 });
    let chance = 1;
    const dice = (sides: number): boolean => {
      chance = (Math.imul(chance, 1_103_515_245) + 12_345) >>> 0;
      return (chance >>> 8) % sides === 0;
    };
    // From the handshake on: a relay before whose clients all is calm would prove nothing.
    const relay = await startRelay(t, edge.port, () => (dice(15) ? null : dice(7) ? 5 : 0));
    const client = await connectAioquic(t, relay.port);
    for (let asked = 0; asked < REQUESTS; asked += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, () => client.request(getHead(edge.port))));
      await until(`${asked + AT_ONCE} answers`, () => endedStreams(client).size === asked + AT_ONCE, 60_000);
    }
    const statuses = client.events.flatMap(({ event, headers }) =>
      event === 'headers' ? [headers?.find(([name]) => name === ':status')?.[1]] : [],
    );
    t.equal(statuses.length, REQUESTS);
    t.ok(statuses.every((status) => status === '200'));
    const lines = await until('all access lines', () => (edge.access().length >= REQUESTS ? edge.access() : null));
    t.equal(lines.length, REQUESTS);
    t.equal(new Set(lines.map((line) => line['id'])).size, REQUESTS);
  },
);

/** aioquic tells of an end twice where the frame that ends a stream comes twice. */
function endedStreams({ events }: AioquicClient): Set<number | undefined> {
  return new Set(events.filter(({ event }) => event === 'end').map(({ stream }) => stream));
}
