/**
 * `/v1/upstreams`: every upstream with its backends, their addresses and load, and the sessions the
 * shards hold to them.
 */
import type { FastifyInstance } from 'fastify';
import type { AdminParts } from './parts.ts';

export function upstreamRoutes(app: FastifyInstance, { upstreams }: Pick<AdminParts, 'upstreams'>): void {
  app.get('/v1/upstreams', async () => ({ upstreams: await upstreams() }));
}
