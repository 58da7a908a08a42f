/** Things an HTTP/2 origin can do, to be handed to `startH2Origin` alone or chosen by path. */

import { createHash } from 'node:crypto';
import type { ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import type { Behaviour } from './h2.ts';

/** Chooses by path; what no key names gets 404. */
export function byPath(behaviours: Readonly<Record<string, Behaviour>>): Behaviour {
  return (stream, headers) => {
    const path = (headers[':path'] ?? '').split('?', 1)[0] ?? '';
    const chosen = behaviours[path];
    if (chosen !== undefined) chosen(stream, headers);
    else {
      stream.respond({ ':status': 404 });
      stream.end('no such behaviour');
    }
  };
}

/** A status, fields and a small body. */
export const answers =
  (text: string, status = 200, fields: Record<string, string> = {}): Behaviour =>
  (stream) => {
    stream.respond({ ':status': status, 'content-type': 'text/plain', ...fields });
    stream.end(text);
    stream.resume();
  };

/** The request's fields as JSON, so that a test sees what the edge sent. */
export const tellsFields: Behaviour = (stream, headers) => {
  stream.respond({ ':status': 200, 'content-type': 'application/json' });
  stream.end(JSON.stringify(headers));
  stream.resume();
};

/** Sends the body back as it arrives. */
export const echoes: Behaviour = (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' });
  stream.pipe(stream);
};

/** Takes the body, answers with its length and SHA-256. */
export const digests: Behaviour = (stream) => {
  const hash = createHash('sha256');
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  stream.on('end', () => {
    // A reset ends the readable side as well.
    if (stream.destroyed || stream.closed) return;
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.end(JSON.stringify({ bytes, sha256: hash.digest('hex') }));
  });
};

/** So many bytes of a fixed pattern, at the reader's pace, with or without a content-length. */
export const pours =
  (total: number, hasLength = true): Behaviour =>
  (stream) => {
    stream.respond({ ':status': 200, ...(hasLength ? { 'content-length': String(total) } : {}) });
    pour(stream, total);
  };

/** The block every poured body repeats. */
export const POUR_BLOCK: Buffer = Buffer.from(Uint8Array.from({ length: 65_536 }, (_, place) => (place * 131 + (place >> 8)) & 0xff));

/** Writes `total` bytes of the pattern and ends. */
export function pour(stream: ServerHttp2Stream, total: number): void {
  let left = total;
  const more = (): void => {
    while (left > 0 && !stream.destroyed) {
      const size = Math.min(left, POUR_BLOCK.length);
      left -= size;
      if (!stream.write(POUR_BLOCK.subarray(0, size))) {
        stream.once('drain', more);
        return;
      }
    }
    stream.end();
  };
  more();
}

/** SHA-256 of the first `total` bytes of the pattern. */
export function pourDigest(total: number): string {
  const hash = createHash('sha256');
  for (let left = total; left > 0; left -= POUR_BLOCK.length) hash.update(POUR_BLOCK.subarray(0, Math.min(left, POUR_BLOCK.length)));
  return hash.digest('hex');
}

/** Takes the request and says nothing. */
export const isSilent: Behaviour = (stream) => {
  stream.resume();
};

/** Resets the stream instead of answering. */
export const resets =
  (code: number = constants.NGHTTP2_INTERNAL_ERROR): Behaviour =>
  (stream) => {
    stream.close(code);
  };

/** A body and then a trailer section. */
export const trails =
  (text: string, trailers: Record<string, string>): Behaviour =>
  (stream) => {
    stream.respond({ ':status': 200, trailer: Object.keys(trailers).join(', ') }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers(trailers));
    stream.end(text);
    stream.resume();
  };

/** Interim responses before the final one. */
export const hints =
  (links: readonly string[], text: string): Behaviour =>
  (stream) => {
    for (const link of links) stream.additionalHeaders({ ':status': 103, link });
    stream.respond({ ':status': 200 });
    stream.end(text);
  };
