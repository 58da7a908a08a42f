/**
 * The two questions of an orchestrator. `/healthz`: does the process answer at all. `/readyz`:
 * should traffic be sent here; not while starting, not while draining, and not while a shard is
 * without a worker, because the packets that reach it wait.
 */
import type { FastifyInstance } from 'fastify';
import type { AdminParts } from './parts.ts';

export function healthRoutes(app: FastifyInstance, { status }: Pick<AdminParts, 'status'>): void {
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const { state, shards } = status();
    if (state !== 'serving') return reply.code(503).send({ status: state });
    const waiting = shards.filter((shard) => shard.state !== 'ready').map(({ shard }) => shard);
    if (waiting.length > 0) return reply.code(503).send({ status: 'shard_not_ready', shards: waiting });
    return { status: state };
  });
}
