/**
 * `POST /v1/reload`: reads the configuration again and answers when every shard decides by it, or
 * why it does not. `dry_run` changes nothing.
 */
import type { FastifyInstance } from 'fastify';
import { type AdminErrorCode, errorEntry } from '../../base/errors.ts';
import type { ReloadResult } from '../reload/reload.ts';
import { refuse } from './guard.ts';
import type { AdminParts } from './parts.ts';

const BODY = {
  type: 'object',
  properties: { dry_run: { type: 'boolean', default: false } },
  additionalProperties: false,
} as const;

const REFUSALS: Partial<Record<ReloadResult, AdminErrorCode>> = {
  invalid: 'reload_not_valid',
  needs_restart: 'restart_needed',
  no_room: 'no_room',
  cannot_listen: 'cannot_listen',
  busy: 'reload_under_way',
  not_serving: 'not_serving',
  failed: 'internal',
};

export function reloadRoutes(app: FastifyInstance, { reload }: Pick<AdminParts, 'reload'>): void {
  app.post<{ Body: { dry_run: boolean } | undefined }>('/v1/reload', { schema: { body: BODY } }, async (request, reply) => {
    if (reload === undefined) return refuse(reply, 'not_found', 'this edge was not started from a file');
    const answer = await reload('admin', { isDryRun: request.body?.dry_run ?? false });
    const error = REFUSALS[answer.result];
    if (error === undefined) return answer;
    const { status } = errorEntry(error);
    // The answer of a dry run is an answer.
    return answer.isDryRun && error !== 'reload_under_way' ? answer : reply.code(status).send({ error, status, ...answer });
  });
}
