/** Clients of journey tests that show a certificate, and what comes of it. */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import type { ClientPair } from './authority.ts';
import { type AioquicClient, connectAioquic, getHead, type Outcome } from './client/aioquic.ts';
import type { Edge } from './edge.ts';
import { startH2Origin } from './origin/h2.ts';

/** CRYPTO_ERROR, to which the alert of TLS is added (RFC 9001 §4.8). */
const CRYPTO_ERROR = 0x100;

const NO_ERROR = 0x100;

/** Time in which a connection has to be gone. */
export const GONE_MS = 10_000;

export const served: Outcome = { kind: 'status', status: 200 };

/** A close with an alert of TLS. */
export const alert = (number: number): Outcome => ({ kind: 'closed', code: CRYPTO_ERROR + number });

export const startOrigin = (t: Test) => startH2Origin(t, (request) => request.respond({ ':status': 200 }));

/** Options of a client that shows a certificate, or none. */
const showing = (pair: ClientPair | undefined): Readonly<Record<string, unknown>> =>
  pair === undefined ? {} : { chain: pair.chain, key: pair.key };

/** A client that asks for a name and shows a certificate, or none. */
export const connectAs = (t: Test, port: number, pair?: ClientPair, servername = 'localhost'): Promise<AioquicClient> =>
  connectAioquic(t, port, { servername, ca: undefined, ...showing(pair) });

/** What comes of a GET on a connection. */
export async function ask(client: AioquicClient, port: number, authority = 'localhost'): Promise<Outcome> {
  const head = getHead(port).map(([name, value]): [string, string] => [name, name === ':authority' ? `${authority}:${port}` : value]);
  return client.outcome(await client.request(head));
}

/** What comes of a GET on a new connection. */
export async function get(t: Test, port: number, pair?: ClientPair, servername = 'localhost', authority = servername): Promise<Outcome> {
  return ask(await connectAs(t, port, pair, servername), port, authority);
}

/** Waits until the edge has ended a connection for its certificate. */
export async function gone(t: Test, client: AioquicClient, withinMs = GONE_MS): Promise<void> {
  const { code, reason } = await client.wait('closed', undefined, withinMs);
  t.same({ code, reason }, { code: NO_ERROR, reason: 'the client certificate does not pass any more' });
}

/** Connections that were ended so. */
export const ended = async (edge: Edge, reason: string): Promise<number> =>
  (await edge.metrics()).sum('lychgate_client_certificates_ended_total', { listener: 'public', reason });

/** The log's line of a message, once it is there. */
export const told = (edge: Edge, msg: string) => () => edge.log.find((line) => line['msg'] === msg);

/** Puts what files hold in the place of a file, at once. */
export function put(path: string, ...parts: string[]): void {
  writeFileSync(`${path}.new`, parts.map((part) => readFileSync(part)).join(''));
  renameSync(`${path}.new`, path);
}
