/**
 * An HTTP/2 origin that sends the frames a test wants and no others. node:http2 closes in ways of
 * its own (an END_STREAM before a reset, a GOAWAY with its own idea of the last stream), so what
 * matters frame by frame is written here.
 */

import type { Socket } from 'node:net';
import type { Test } from 'tap';
import { type H1Origin, startTcpOrigin } from './h1.ts';

/** One connection of the edge, ready to be written to. */
export interface ScriptedPeer {
  readonly socket: Socket;
  /** `:status: 200` and nothing else. */
  head(stream: number, isEnd?: boolean): void;
  /** A head of these fields, unchecked, in this order. Names and values have at most 126 bytes. */
  fields(stream: number, fields: readonly (readonly [string, string])[], isEnd?: boolean): void;
  data(stream: number, bytes: Buffer, isEnd?: boolean): void;
  reset(stream: number, code: number): void;
  goaway(lastStream: number, code?: number): void;
}

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const GOAWAY = 7;
const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;

/**
 * Calls `script` for every request head with the connection, the stream, and which connection it
 * is, counted from 1.
 */
export function startScriptedOrigin(t: Test, script: (peer: ScriptedPeer, stream: number, connection: number) => void): Promise<H1Origin> {
  return startTcpOrigin(t, 'h2c', (socket, connection) => {
    const peer = createPeer(socket);
    socket.write(frame(SETTINGS, 0, 0, Buffer.alloc(0)));
    let received = Buffer.alloc(0);
    let at = PREFACE_BYTES;
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= at + FRAME_HEAD_BYTES) {
        const end = at + FRAME_HEAD_BYTES + received.readUIntBE(at, 3);
        if (received.length < end) return;
        const [kind, flags, stream] = [received[at + 3], received[at + 4] ?? 0, received.readUInt32BE(at + 5)];
        at = end;
        if (kind === SETTINGS && (flags & 1) === 0) socket.write(frame(SETTINGS, 1, 0, Buffer.alloc(0)));
        if (kind === HEADERS) script(peer, stream, connection);
      }
    });
  });
}

function createPeer(socket: Socket): ScriptedPeer {
  return {
    socket,
    // 0x88 is the whole of `:status: 200` (RFC 7541 appendix A); 4 says that the field block ends
    // here.
    head: (stream, isEnd = false) => socket.write(frame(HEADERS, 4 | Number(isEnd), stream, Buffer.from([0x88]))),
    // Literals that are not indexed, with literal names (RFC 7541 §6.2.2).
    fields: (stream, fields, isEnd = false) => {
      const text = fields.flatMap(([name, value]) => [0, name.length, ...Buffer.from(name), value.length, ...Buffer.from(value)]);
      socket.write(frame(HEADERS, 4 | Number(isEnd), stream, Buffer.from(text)));
    },
    data: (stream, bytes, isEnd = false) => socket.write(frame(DATA, Number(isEnd), stream, bytes)),
    reset: (stream, code) => socket.write(frame(RST_STREAM, 0, stream, word(code))),
    goaway: (lastStream, code = 0) => socket.write(frame(GOAWAY, 0, 0, Buffer.concat([word(lastStream), word(code)]))),
  };
}

function frame(kind: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = kind;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
