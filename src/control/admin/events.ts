/**
 * `/v1/events`: the events of the edge as they happen, as server-sent events (WHATWG HTML §9.2).
 * `Last-Event-ID` or `?after=` asks for what was missed; `?event=` and `?upstream=` narrow it. A
 * listener that does not read is let go rather than waited for.
 */
import type { FastifyInstance } from 'fastify';
import { NOTES } from '../../base/notes.ts';
import { showValue } from '../../config/problem.ts';
import { suggest } from '../../config/suggest.ts';
import type { EdgeEvent } from '../events.ts';
import { refuse } from './guard.ts';
import type { AdminParts } from './parts.ts';

/** Listeners at once. */
const MAX_LISTENERS = 64;
/** Bytes that may wait for a listener. */
const MAX_HELD_BYTES = 1_048_576;
/** A comment now and then keeps proxies from closing a quiet stream. */
const BEAT_MS = 15_000;

const EVENT_NAMES: readonly string[] = NOTES.filter(({ isEvent }) => isEvent).map(({ code }) => code);

interface Query {
  readonly after?: string;
  readonly event?: string;
  readonly upstream?: string;
}

/** How to end the streams of an API. */
const streams = new WeakMap<FastifyInstance, Set<() => void>>();

/** Ends its streams: who may listen asks again. */
export function endStreams(app: FastifyInstance): void {
  for (const end of streams.get(app) ?? []) end();
}

export function eventRoutes(app: FastifyInstance, { events }: Pick<AdminParts, 'events'>): void {
  const open = new Set<() => void>();
  streams.set(app, open);
  app.addHook('preClose', async () => endStreams(app));

  app.get<{ Querystring: Query }>('/v1/events', (request, reply) => {
    if (open.size >= MAX_LISTENERS) return refuse(reply, 'too_many_listeners');
    const { after, event, upstream } = request.query;
    const names = event === undefined ? undefined : new Set(event.split(','));
    // Who waits for what never comes is told so at once.
    const unknown = [...(names ?? [])].find((name) => !EVENT_NAMES.includes(name));
    if (unknown !== undefined) {
      const near = suggest(unknown, EVENT_NAMES);
      const meant = near === undefined ? '' : `; did you mean ${near}?`;
      return refuse(
        reply,
        'value_not_valid',
        `event: ${showValue(unknown)} is no event${meant}; expected some of ${EVENT_NAMES.join(', ')}`,
      );
    }
    if (upstream !== undefined && !events.upstreams().includes(upstream)) {
      const known = events.upstreams().join(', ');
      return refuse(reply, 'value_not_valid', `upstream: ${showValue(upstream)} is no upstream of this edge; expected one of ${known}`);
    }
    const lastId = request.headers['last-event-id'] ?? after;
    const seen = Number(lastId ?? Number.NaN);
    if (lastId !== undefined && !Number.isSafeInteger(seen)) {
      return refuse(reply, 'value_not_valid', `after: ${showValue(lastId)} is no id of an event; expected a whole number`);
    }
    reply.hijack();
    const out = reply.raw;
    out.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    out.write(': listening\n\n');
    const stop = events.subscribe(
      (found) => {
        if (names !== undefined && !names.has(found.event)) return;
        if (upstream !== undefined && found.upstream !== upstream) return;
        out.write(frame(found));
        if (out.writableLength > MAX_HELD_BYTES) out.destroy();
      },
      Number.isSafeInteger(seen) ? seen : undefined,
    );
    const beat = setInterval(() => out.write(': beat\n\n'), BEAT_MS);
    const end = () => out.end();
    open.add(end);
    out.on('close', () => {
      clearInterval(beat);
      stop();
      open.delete(end);
    });
    return reply;
  });
}

function frame(event: EdgeEvent): string {
  return `id: ${event.id}\nevent: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`;
}
