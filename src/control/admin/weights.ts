/**
 * `/v1/weights`: the weights of backends and of the targets of split routes, as they are and as
 * they are to be from now on, for all shards at once. Weight 0 drains: no new request goes there,
 * those in flight end as they would have. A change lasts as long as the process.
 */
import type { FastifyInstance } from 'fastify';
import type { WeightOrder } from '../weights.ts';
import { refuse } from './guard.ts';
import type { AdminParts } from './parts.ts';

const WEIGHT = { type: 'integer', minimum: 0, maximum: 10_000 } as const;

/** One backend by upstream and URL, or all targets of a route in their configured order. */
const BODY = {
  type: 'object',
  properties: {
    upstream: { type: 'string' },
    backend: { type: 'string' },
    weight: WEIGHT,
    route: { type: 'string' },
    weights: { type: 'array', items: WEIGHT, minItems: 1, maxItems: 64 },
  },
  additionalProperties: false,
  oneOf: [{ required: ['upstream', 'backend', 'weight'] }, { required: ['route', 'weights'] }],
} as const;

export function weightRoutes(app: FastifyInstance, { weights }: Pick<AdminParts, 'weights'>): void {
  app.get('/v1/weights', async () => weights.view());
  app.put<{ Body: WeightOrder }>('/v1/weights', { schema: { body: BODY } }, async (request, reply) => {
    const refusal = weights.change(request.body);
    return refusal === undefined ? weights.view() : refuse(reply, refusal.error, refusal.detail);
  });
}
