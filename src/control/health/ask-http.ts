/**
 * Asks a backend over HTTP/2 (by ALPN, or in clear text by prior knowledge) or HTTP/1.1, by undici.
 * Every check makes a connection: that one can be made is part of what is checked, and nothing has
 * to be kept between checks but the TLS session, which makes the next handshake cheap.
 */

import { createHash, X509Certificate } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, createSecureContext, type DetailedPeerCertificate, type SecureContext, type SecureVersion } from 'node:tls';
import { buildConnector, Client } from 'undici';
import { hostPort } from '../../base/authority.ts';
import { type Ask, type Question, type Reply, USER_AGENT } from './question.ts';

/**
 * An `Ask` for `h2` and `http/1.1`. As for traffic, a TLS backend that does not agree on HTTP/2 is
 * asked over HTTP/1.1.
 */
export function createHttpAsk(question: Question): Ask {
  const isTls = question.scheme === 'https';
  const isHttp2 = question.protocol === 'h2';
  const connector = buildConnector({
    allowH2: isHttp2,
    preferH2: isHttp2,
    timeout: question.timeoutMs,
    rejectUnauthorized: question.isVerified,
    ...(isTls ? { secureContext: contextOf(question) } : {}),
    ...(question.pins.length > 0 ? { checkServerIdentity: identityByPins(question.pins) } : {}),
  });
  // RFC 6066 §3: an address is no server name; it is verified all the same, as the host connected
  // to.
  const servername = isIP(question.serverName) === 0 ? question.serverName : '';

  return async (ip, port, signal) => {
    let socket: Socket | undefined;
    const client = new Client(`${isTls ? 'https' : 'http'}://${hostPort(ip, port)}`, {
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

/**
 * By what they are made of: reading a CA costs more than the handshake, and a thousand backends
 * share one.
 */
const contexts = new Map<string, SecureContext>();
/** More are not kept: certificates come and go with every reload. */
const MAX_CONTEXTS = 256;

function contextOf({ caPem, clientCertificate, minTlsVersion, maxTlsVersion }: Question): SecureContext {
  const { chainPem: cert, keyPem: key } = clientCertificate ?? {};
  // The key itself need not be kept here as well: another one has another certificate.
  const name = JSON.stringify([caPem, cert, minTlsVersion, maxTlsVersion]);
  let context = contexts.get(name);
  if (context === undefined) {
    context = createSecureContext({
      ...(caPem === '' ? {} : { ca: caPem }),
      ...(cert === undefined ? {} : { cert, key }),
      minVersion: `TLSv${minTlsVersion}` as SecureVersion,
      maxVersion: `TLSv${maxTlsVersion}` as SecureVersion,
    });
    for (const oldest of contexts.keys()) {
      if (contexts.size < MAX_CONTEXTS) break;
      contexts.delete(oldest);
    }
    contexts.set(name, context);
  }
  return context;
}

/** The usual check of names, and then that the chain has one of the pinned keys. */
function identityByPins(pins: readonly string[]): typeof checkServerIdentity {
  return (host, leaf) => {
    const fault = checkServerIdentity(host, leaf);
    if (fault !== undefined) return fault;
    const seen = new Set<DetailedPeerCertificate>();
    for (let one = leaf as DetailedPeerCertificate | undefined; one?.raw !== undefined && !seen.has(one); one = one.issuerCertificate) {
      seen.add(one);
      const key = new X509Certificate(one.raw).publicKey.export({ type: 'spki', format: 'der' });
      if (pins.includes(createHash('sha256').update(key).digest('base64'))) return undefined;
    }
    return new Error('no certificate of the chain has a pinned key');
  };
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
