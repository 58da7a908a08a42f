/**
 * A client that only listens keeps its event stream; one that is gone does not. aioquic, which
 * sends no PING of its own.
 */

import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type AioquicClient, connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;

interface Listening {
  readonly edge: Edge;
  readonly client: AioquicClient;
  readonly stream: number;
  /** Sends an event from the backend. */
  readonly send: (text: string) => void;
  readonly closedByIdle: () => Promise<number>;
}

/**
 * A client that has the beginning of an event stream, over a connection of which the edge drops
 * silent ones after two seconds.
 */
async function listen(t: Test, quic: Readonly<Record<string, unknown>> = {}): Promise<Listening> {
  let send: (text: string) => void = () => {};
  const origin = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
    stream.write(': hello\n\n');
    send = (text) => void stream.write(text);
  });
  const edge = await startEdge(t, { backends: [origin.url], listener: { quic: { idle_timeout: '2s', ...quic } } });
  const client = await connectAioquic(t, edge.port);
  const stream = await client.request(getHead(edge.port));
  await client.wait('data', stream);
  const closedByIdle = async (): Promise<number> => (await edge.metrics()).sum('lychgate_connections_closed_total', { cause: 'idle' });
  return { edge, client, stream, send: (text) => send(text), closedByIdle };
}

t.test('an event stream on which nothing comes for longer than the idle timeout goes on', { skip }, async (t) => {
  const { client, stream, send, closedByIdle } = await listen(t);
  await wait(6_000);
  t.equal(await closedByIdle(), 0);
  send('data: late\n\n');
  await until('the late event', () => client.events.some((one) => one.stream === stream && one.text?.includes('late')));
});

t.test('without the keep-alive the same client loses it', { skip }, async (t) => {
  const { edge, closedByIdle } = await listen(t, { keep_alive: 'none' });
  await until('the connection is dropped', async () => (await closedByIdle()) === 1);
  await until('its access line', () => edge.access().some((line) => line['reason'] === 'client_gone'));
});

t.test('a client that is gone is dropped though its stream is open', { skip }, async (t) => {
  const { edge, client, closedByIdle } = await listen(t, { keep_alive: '1s' });
  process.kill(client.pid, 'SIGSTOP');
  await until('the connection is dropped', async () => (await closedByIdle()) === 1);
  await until('its access line', () => edge.access().some((line) => line['reason'] === 'client_gone'));
  process.kill(client.pid, 'SIGKILL');
});
