/**
 * The second client of journey tests: aioquic, a QUIC stack in Python, which sends whatever a test
 * asks for. `./h3client.py` runs beside the test and obeys JSON lines; this file is the typed end
 * of it.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { certificates } from '../certificates.ts';
import { until } from '../wait.ts';

const cache = process.env['LYCHGATE_CACHE'] || join(homedir(), '.cache/lychgate');
const python = join(cache, 'aioquic/bin/python');

/** Why aioquic cannot be used here; false when it can. For a test's `skip`. */
export const missingAioquic: string | false = existsSync(python) ? false : 'aioquic is not installed (test/support/install.sh)';

/**
 * Something that arrived. `event` is interim, headers, trailers, data, end, reset, stop, goaway or
 * closed.
 */
export interface AioquicEvent {
  readonly event: string;
  readonly stream?: number;
  readonly headers?: readonly (readonly [string, string])[];
  readonly bytes?: number;
  readonly text?: string;
  readonly sha256?: string;
  readonly code?: number;
  readonly reason?: string;
  /**
   * Of a close by the transport: the type of the frame at fault, 0 for none. An application's close
   * has no such.
   */
  readonly frame?: number | null;
  readonly last?: number;
}

/** Name and value, in the order in which they are to be sent. */
export type RawHeaders = readonly (readonly [string, string])[];

/** A connection driven by hand. */
export interface AioquicClient {
  /** Everything that arrived, oldest first. */
  readonly events: readonly AioquicEvent[];
  /** Sends a head (unchecked) and gives the stream. */
  request(headers: RawHeaders, options?: { body?: string; fin?: boolean }): Promise<number>;
  /** Any other order of h3client.py. */
  order(what: string, parameters?: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>>;
  /** First event of a kind, on a stream if one is named; waits for it. */
  wait(event: string, stream?: number, withinMs?: number): Promise<AioquicEvent>;
  /** Status of a stream's response; waits for it. */
  status(stream: number): Promise<number>;
  /** How a request ends: its status, a reset, or the connection's close, whichever comes first. */
  outcome(stream: number): Promise<Outcome>;
  /** Local process; for signals and memory. */
  readonly pid: number;
}

/** The first final word about a request. */
export type Outcome =
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'reset'; readonly code: number }
  | { readonly kind: 'closed'; readonly code: number };

/** The pseudo-header fields of a GET, to be spread into a head. */
export function getHead(port: number, path = '/'): [string, string][] {
  return [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', `localhost:${port}`],
    [':path', path],
  ];
}

/**
 * Connects to an edge on 127.0.0.1; ended with the test. `options` go to the `connect` order;
 * `place` is put before the command.
 */
export async function connectAioquic(
  t: Test,
  port: number,
  options: Readonly<Record<string, unknown>> = {},
  place: readonly string[] = [],
): Promise<AioquicClient> {
  const client = startAioquic(t, place);
  await connect(client, port, options);
  return client;
}

/** What a client is told that asks an edge on 127.0.0.1 for a connection and gets none. */
export async function refusedAioquic(t: Test, port: number, options: Readonly<Record<string, unknown>> = {}): Promise<AioquicEvent> {
  const client = startAioquic(t);
  const isConnected = await connect(client, port, options).then(
    () => true,
    () => false,
  );
  if (isConnected) throw new Error('aioquic got a connection');
  return client.wait('closed');
}

function connect(client: AioquicClient, port: number, options: Readonly<Record<string, unknown>> = {}) {
  return client.order('connect', { host: '127.0.0.1', port, servername: 'localhost', ca: certificates().caPath, ...options });
}

/**
 * A handshake: whether it resumed a session, by a `ticket` among the options, and a ticket for the
 * next.
 */
export async function shakeHands(t: Test, port: number, options: Readonly<Record<string, unknown>> = {}) {
  const client = startAioquic(t);
  const { resumed } = await connect(client, port, options);
  // Tickets come after the handshake, at the latest with the first answer.
  await client.status(await client.request(getHead(port)));
  const { ticket } = await client.order('ticket');
  await client.order('close');
  return { isResumed: resumed === true, ticket: String(ticket) };
}

/**
 * Serial number, hex, of the certificate that a client gets. Which that is depends on `servername`
 * and on the signature `algorithms` that it can verify.
 */
export async function serialAioquic(t: Test, port: number, options: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const client = startAioquic(t);
  const { serial } = await connect(client, port, options);
  await client.order('close');
  return String(serial);
}

/**
 * The same in two steps, for tests in which the start of a process would take too long: the client
 * is started now, and connects when it is asked.
 */
export function readySerialAioquic(t: Test): (port: number, options?: Readonly<Record<string, unknown>>) => Promise<string> {
  const client = startAioquic(t);
  return async (port, options) => {
    const { serial } = await connect(client, port, options);
    await client.order('close');
    return String(serial);
  };
}

/** A client that waits for its first order. */
function startAioquic(t: Test, place: readonly string[] = []): AioquicClient {
  const [program = python, ...parameters] = [...place, python, join(import.meta.dirname, 'h3client.py')];
  const child = spawn(program, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
  const events: AioquicEvent[] = [];
  const answers = new Map<number, (answer: Record<string, unknown>) => void>();
  child.once('exit', () => {
    for (const answer of answers.values()) answer({ error: 'the client has ended' });
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as AioquicEvent & { id?: number };
    if (said.event !== 'done') events.push(said);
    else answers.get(said.id ?? -1)?.(said as unknown as Record<string, unknown>);
  });
  child.stdin.on('error', () => {});
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.stdin.end();
    const patience = setTimeout(() => child.kill('SIGKILL'), 2_000);
    await ended;
    clearTimeout(patience);
  });

  let orders = 0;
  const order = async (what: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<Record<string, unknown>> => {
    const id = orders++;
    const answered = Promise.withResolvers<Record<string, unknown>>();
    answers.set(id, answered.resolve);
    child.stdin.write(`${JSON.stringify({ do: what, id, ...parameters })}\n`);
    const answer = await answered.promise;
    answers.delete(id);
    if (typeof answer['error'] === 'string') throw new Error(`aioquic: ${what}: ${answer['error']}`);
    return answer;
  };

  const wait = (event: string, stream?: number, withinMs = 10_000): Promise<AioquicEvent> =>
    until(
      `aioquic sees ${event}`,
      () => events.find((one) => one.event === event && (stream === undefined || one.stream === stream)),
      withinMs,
    );

  const status = async (stream: number): Promise<number> => statusOf(await wait('headers', stream));

  return {
    events,
    order,
    wait,
    status,
    pid: child.pid ?? 0,
    request: async (headers, { body = '', fin = true } = {}) => Number((await order('request', { headers, body, fin }))['stream']),
    outcome: (stream) =>
      until(`aioquic learns how stream ${stream} ends`, (): Outcome | null => {
        for (const one of events) {
          if (one.event === 'closed') return { kind: 'closed', code: one.code ?? -1 };
          if (one.stream !== stream) continue;
          if (one.event === 'headers') return { kind: 'status', status: statusOf(one) };
          if (one.event === 'reset') return { kind: 'reset', code: one.code ?? -1 };
        }
        return null;
      }),
  };
}

function statusOf(event: AioquicEvent): number {
  return Number(event.headers?.find(([name]) => name === ':status')?.[1] ?? 0);
}
