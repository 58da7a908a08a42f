/**
 * `/v1/certificates`: the certificates in use, and `POST /v1/certificates/reload`: their files are
 * read again. Keys are never shown.
 */
import type { FastifyInstance } from 'fastify';
import { errorEntry } from '../../base/errors.ts';
import type { AdminParts } from './parts.ts';

/** Nothing is to be said; a page of another origin cannot send JSON. */
const BODY = { type: 'object', properties: {}, additionalProperties: false } as const;

export function certificateRoutes(app: FastifyInstance, { certificates }: Pick<AdminParts, 'certificates'>): void {
  app.get('/v1/certificates', async () => ({ certificates: certificates.view() }));
  app.post('/v1/certificates/reload', { schema: { body: BODY } }, async (_request, reply) => {
    const answer = await certificates.reload('admin');
    if (answer.result !== 'refused') return answer;
    const { status } = errorEntry('certificate_refused');
    return reply.code(status).send({ error: 'certificate_refused', status, ...answer });
  });
}
