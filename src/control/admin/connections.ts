/**
 * `/v1/connections?limit=N`: how many connections clients have, and at most N of them from each
 * shard.
 */
import type { FastifyInstance } from 'fastify';
import type { AdminParts } from './parts.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 10_000;

const QUERY = {
  type: 'object',
  properties: { limit: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT } },
  additionalProperties: false,
} as const;

export function connectionRoutes(app: FastifyInstance, { connections, status }: Pick<AdminParts, 'connections' | 'status'>): void {
  app.get<{ Querystring: { limit: number } }>('/v1/connections', { schema: { querystring: QUERY } }, async (request) => {
    const { limit } = request.query;
    return { total: status().connections, limit, connections: await connections(limit) };
  });
}
