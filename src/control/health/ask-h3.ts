/** Asks a backend over HTTP/3, by @currentspace/http3, a connection a check. The library (40 MB with its threads) is loaded with the first one. */

import { isIP } from 'node:net';
import type { Http3ClientSession, IncomingHeaders } from '@currentspace/http3';
import { type Ask, type Question, type Reply, USER_AGENT } from './question.ts';

/** An `Ask` for `h3`. */
export function createH3Ask(question: Question): Ask {
  return async (ip, port, signal) => {
    const { connect } = await import('@currentspace/http3');
    const session = connect(
      { address: ip, port, servername: isIP(question.serverName) === 0 ? question.serverName : ip },
      {
        rejectUnauthorized: question.isVerified,
        connectTimeoutMs: question.timeoutMs,
        runtimeMode: 'portable',
        ...(question.caPem === '' ? {} : { ca: question.caPem }),
      },
    );
    // Faults of the session also fail `ready()` and the stream, where they are told; unheard they would end the process.
    session.on('error', () => {});
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    const abort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    try {
      return await Promise.race([askOnce(session, question), aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
      await session.destroy().catch(() => {});
    }
  };
}

async function askOnce(session: Http3ClientSession, question: Question): Promise<Reply> {
  await session.ready();
  const stream = await session.requestAsync(
    {
      ':method': question.method,
      ':scheme': 'https',
      ':authority': question.authority,
      ':path': question.path,
      'user-agent': USER_AGENT,
      accept: '*/*',
    },
    { endStream: true, timeoutMs: question.timeoutMs },
  );
  let status = 0;
  // A final head after an interim one arrives as `trailers`.
  const onSection = (headers: IncomingHeaders): void => {
    const given = Number(headers[':status'] ?? 0);
    if (given >= 200) status = given;
  };
  stream.on('response', onSection);
  stream.on('trailers', onSection);
  const chunks: Buffer[] = [];
  let left = question.bodyBytes;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (left > 0) chunks.push(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0 && status !== 0) break;
  }
  if (status === 0) throw new Error('the stream ended without a response');
  return { status, body: Buffer.concat(chunks).toString('utf8') };
}
