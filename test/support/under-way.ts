/**
 * What is under way while an edge is changed: on one kept connection a download, an upload, an
 * event stream and requests one after another, and beside it connections that are new. At the end
 * each must be whole.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { connectH3, readAll } from './client/h3.ts';
import type { Behaviour } from './origin/h2.ts';

/** The origins' end of the long streams; one for all origins, whichever of them is chosen. */
export interface Feed {
  download(chunk: string): void;
  events(text: string): void;
}

/**
 * Paths that `startUnderWay` asks for; every other is answered with `name`. An empty text ends what
 * it is given to.
 */
export function fed(feed: Feed, name: string): Behaviour {
  return (stream, headers) => {
    const path = headers[':path'] ?? '';
    stream.on('error', () => {});
    if (path.startsWith('/upload')) {
      let bytes = 0;
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      stream.on('end', () => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200 });
        stream.end(String(bytes));
      });
      return;
    }
    stream.resume();
    stream.respond({ ':status': 200 });
    const write = (text: string): void => void (text === '' ? stream.end() : stream.write(text));
    if (path.startsWith('/download')) feed.download = write;
    else if (path.startsWith('/events')) feed.events = write;
    else stream.end(name);
  };
}

export function createFeed(): Feed {
  return { download() {}, events() {} };
}

export interface UnderWay {
  /** So far. */
  readonly counts: { requests: number; connections: number };
  /** Ends everything and holds it against what was sent. */
  end(): Promise<void>;
}

export interface UnderWayOptions {
  /** From one request on the kept connection to the next. */
  readonly everyMs?: number;
  /** From one new connection to the next; none without it. */
  readonly connectEveryMs?: number;
}

const CHUNK = 'x'.repeat(16_384);

/** Begins everything; resolves when it is under way. */
export async function startUnderWay(t: Test, port: number, feed: Feed, options: UnderWayOptions = {}): Promise<UnderWay> {
  const { everyMs = 20, connectEveryMs } = options;
  const client = await connectH3(t, port);
  let isClosed = false;
  client.session.on('close', () => {
    isClosed = true;
  });
  const [download, upload, events] = [
    await client.open({ path: '/download' }),
    await client.open({ path: '/upload', method: 'POST' }, false),
    await client.open({ path: '/events' }),
  ];
  const [downloaded, uploaded, listened] = [lengthOf(download.stream), readAll(upload), readAll(events)];
  await Promise.all([download.head, events.head]);

  const counts = { requests: 0, connections: 0 };
  const failures: string[] = [];
  let chunks = 0;
  let isOver = false;
  // A test that failed must end as well.
  t.teardown(() => {
    isOver = true;
  });
  const note = (what: string, status: number, error?: Error): void => {
    if (status !== 200) failures.push(`${what}: ${error?.message ?? status}`);
  };
  const kept = (async () => {
    while (!isOver) {
      feed.download(CHUNK);
      feed.events(`data: ${chunks}\n\n`);
      upload.stream.write(CHUNK);
      chunks += 1;
      counts.requests += 1;
      await client.exchange().then(
        ({ status }) => note('kept connection', status),
        (error: Error) => note('kept connection', 0, error),
      );
      await sleep(everyMs);
    }
  })();
  const fresh = (async () => {
    while (!isOver && connectEveryMs !== undefined) {
      counts.connections += 1;
      try {
        const other = await connectH3(t, port);
        note('new connection', (await other.exchange()).status);
        await other.close();
      } catch (error) {
        note('new connection', 0, error as Error);
      }
      await sleep(connectEveryMs);
    }
  })();

  return {
    counts,
    async end() {
      isOver = true;
      await Promise.all([kept, fresh]);
      feed.download('');
      feed.events('');
      upload.stream.end();
      t.equal(await downloaded, chunks * CHUNK.length, 'the download is whole');
      t.equal((await listened).text, Array.from({ length: chunks }, (_, i) => `data: ${i}\n\n`).join(''), 'every event came');
      t.equal((await uploaded).text, String(chunks * CHUNK.length), 'the upload is whole');
      t.same(failures, [], `${counts.requests} requests and ${counts.connections} new connections, none failed`);
      t.notOk(isClosed, 'the connection is the same');
    },
  };
}

/** Bytes of a body that may be too long to be kept. */
async function lengthOf(stream: AsyncIterable<Buffer>): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.length;
  return bytes;
}
