/**
 * Asks a backend over HTTP/2 (by ALPN, or in clear text by prior knowledge) or HTTP/1.1, by undici. Every check makes a connection: that one can be made is part of
 * what is checked, and nothing has to be kept between checks but the TLS session, which makes the next handshake cheap.
 */

import { isIP, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { buildConnector, Client } from 'undici';
import { type Ask, type Question, type Reply, USER_AGENT } from './question.ts';

/** An `Ask` for `h2` and `http/1.1`. As for traffic, a TLS backend that does not agree on HTTP/2 is asked over HTTP/1.1. */
export function createHttpAsk(question: Question): Ask {
  const isTls = question.scheme === 'https';
  const isHttp2 = question.protocol === 'h2';
  const connector = buildConnector({
    allowH2: isHttp2,
    preferH2: isHttp2,
    timeout: question.timeoutMs,
    rejectUnauthorized: question.isVerified,
    ...(isTls ? { secureContext: contextOf(question.caPem) } : {}),
  });
  // RFC 6066 §3: an address is no server name; it is verified all the same, as the host connected to.
  const servername = isIP(question.serverName) === 0 ? question.serverName : '';

  return async (ip, port, signal) => {
    let socket: Socket | undefined;
    const client = new Client(`${isTls ? 'https' : 'http'}://${ip.includes(':') ? `[${ip}]` : ip}:${port}`, {
      connect(options: buildConnector.Options, callback: buildConnector.Callback) {
        socket = connector(isTls ? { ...options, servername } : options, callback) as unknown as Socket;
        // Prior knowledge (RFC 9113 §3.3): what ALPN would have said.
        if (isHttp2 && !isTls) Object.assign(socket, { alpnProtocol: 'h2' });
      },
      allowH2: isHttp2,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    try {
      return await askOnce(client, question, signal);
    } finally {
      await client.destroy().catch(() => {});
      socket?.destroy();
    }
  };
}

/** By CA: reading one costs more than the handshake, and a thousand backends share one. */
const contexts = new Map<string, SecureContext>();

function contextOf(caPem: string): SecureContext {
  let context = contexts.get(caPem);
  if (context === undefined) {
    context = createSecureContext(caPem === '' ? {} : { ca: caPem });
    contexts.set(caPem, context);
  }
  return context;
}

async function askOnce(client: Client, question: Question, signal: AbortSignal): Promise<Reply> {
  const { method, path, authority, bodyBytes } = question;
  const { statusCode, body } = await client.request({
    method,
    path,
    headers: { host: authority, 'user-agent': USER_AGENT, accept: '*/*' },
    signal,
  });
  body.on('error', () => {});
  if (bodyBytes === 0) return { status: statusCode, body: '' };
  const chunks: Buffer[] = [];
  let left = bodyBytes;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) break;
  }
  return { status: statusCode, body: Buffer.concat(chunks).toString('utf8') };
}
