/**
 * The parts as a plugin of fastify: `request.deadline` and `instance.resilience`. Refusals are
 * errors, which fastify turns into 429 or 503 with their fields, or hands to the service's own
 * error handler. The plugin works on the instance that it is registered on, and on those below.
 */

import type { FastifyInstance, FastifyPluginCallback, FastifyRequest } from 'fastify';
import type { Deadline } from './deadline.ts';
import { Guard, type GuardOptions } from './guard.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * `resilience.breaker(name)` for calls to others; the rate limiter and the bulkhead for those
     * who want to look.
     */
    readonly resilience: Guard<FastifyRequest>;
  }
  interface FastifyRequest {
    /** There when the plugin has the option `deadline`. */
    deadline?: Deadline | undefined;
  }
}

export type FastifyResilienceOptions = GuardOptions<FastifyRequest>;

const plugin = (instance: FastifyInstance, options: FastifyResilienceOptions, done: () => void): void => {
  const guard = new Guard<FastifyRequest>(options);
  instance.decorate('resilience', guard);
  if (!instance.hasRequestDecorator('deadline')) instance.decorateRequest('deadline', undefined);
  instance.addHook('onRequest', (request, reply, next) => {
    guard.enter(
      {
        request,
        headers: request.headers,
        address: request.ip,
        response: reply.raw,
        deadline: request.deadline,
        setHeader: (name, value) => void reply.header(name, value),
        setDeadline: (deadline) => {
          request.deadline = deadline;
        },
      },
      next,
    );
  });
  done();
};

/** `await server.register(resilience, options)`. */
export const resilience: FastifyPluginCallback<FastifyResilienceOptions> = Object.assign(plugin, {
  // Hooks and decorators are for the instance that registers the plugin, not for a context of the
  // plugin's own.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'lychgate-resilience',
  [Symbol.for('plugin-meta')]: { name: 'lychgate-resilience', fastify: '5.x' },
});

export default resilience;
