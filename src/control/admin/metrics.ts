/** `/metrics` in the Prometheus text format, read from shared memory at the time of the scrape. */
import type { FastifyInstance } from 'fastify';
import type { AdminParts } from './parts.ts';

export function metricsRoutes(app: FastifyInstance, { metrics }: Pick<AdminParts, 'metrics'>): void {
  app.get('/metrics', async (_request, reply) => {
    const { text, contentType } = await metrics();
    return reply.type(contentType).send(text);
  });
}
