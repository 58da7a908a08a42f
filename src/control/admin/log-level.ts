/** `/v1/log/level`: reads the level and changes it for as long as the process lives. */
import type { FastifyInstance } from 'fastify';
import { LOG_LEVELS, type LogLevel } from '../../observe/log.ts';
import type { AdminParts } from './parts.ts';

const BODY = {
  type: 'object',
  properties: { level: { type: 'string', enum: [...LOG_LEVELS] } },
  required: ['level'],
  additionalProperties: false,
} as const;

export function logLevelRoutes(app: FastifyInstance, { log }: Pick<AdminParts, 'log'>): void {
  app.get('/v1/log/level', async () => ({ level: log.level() }));
  app.put<{ Body: { level: LogLevel } }>('/v1/log/level', { schema: { body: BODY } }, async (request) => {
    const before = log.level();
    log.setLevel(request.body.level);
    log.target('admin').info({ before, level: request.body.level }, 'log level changed');
    return { level: log.level() };
  });
}
