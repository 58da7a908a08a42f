/** `/v1/status`: the process, its listeners and its shards. */
import type { FastifyInstance } from 'fastify';
import type { AdminParts } from './parts.ts';

export function statusRoutes(app: FastifyInstance, { status }: Pick<AdminParts, 'status'>): void {
  app.get('/v1/status', async () => status());
}
