/**
 * The two questions of an orchestrator. `/healthz`: does the process answer at all. `/readyz`: should traffic be sent here; not while starting and not
 * while draining.
 */
import type { FastifyInstance } from 'fastify';
import type { AdminParts } from './parts.ts';

export function healthRoutes(app: FastifyInstance, { status }: Pick<AdminParts, 'status'>): void {
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const { state } = status();
    return reply.code(state === 'serving' ? 200 : 503).send({ status: state });
  });
}
