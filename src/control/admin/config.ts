/** `/v1/config`: the configuration in force, secrets replaced. */
import type { FastifyInstance } from 'fastify';
import type { AdminParts } from './parts.ts';

export function configRoutes(app: FastifyInstance, { config, status }: Pick<AdminParts, 'config' | 'status'>): void {
  app.get('/v1/config', async () => ({ generation: status().generation, config: config() }));
}
