/**
 * `/v1/limits`: places of routes, upstreams and tenants, limits that follow the latency, rate
 * limits and the store they are shared over, as they are now.
 */
import type { FastifyInstance } from 'fastify';
import type { AdminParts } from './parts.ts';

export function limitRoutes(app: FastifyInstance, { limits }: Pick<AdminParts, 'limits'>): void {
  app.get('/v1/limits', async () => limits());
}
