/**
 * `/v1/test/fault`: hurts a shard's worker, so that tests can see it replaced. It exists only where
 * the process was started for tests.
 */
import type { FastifyInstance } from 'fastify';
import type { Fault } from '../../shard/port.ts';
import { refuse } from './guard.ts';
import type { AdminParts } from './parts.ts';

const BODY = {
  type: 'object',
  properties: {
    shard: { type: 'integer', minimum: 0, default: 0 },
    fault: { type: 'string', enum: ['throw', 'loop', 'exit', 'oom', 'panic'] },
    /** `now` or `decide`; of a panic, the place on the native side. */
    at: { type: 'string', default: 'now' },
  },
  required: ['fault'],
  additionalProperties: false,
} as const;

export function faultRoutes(app: FastifyInstance, { hurt }: Pick<AdminParts, 'hurt'>): void {
  if (hurt === undefined) return;
  app.post<{ Body: { shard: number; fault: Fault; at: string } }>('/v1/test/fault', { schema: { body: BODY } }, async (request, reply) => {
    const { shard, fault, at } = request.body;
    return hurt(shard, fault, at) ? { shard, fault, at } : refuse(reply, 'shard_not_ready');
  });
}
