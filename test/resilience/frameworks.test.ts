/**
 * The parts before handlers, over HTTP: what holds for the plugin of fastify holds for the
 * middleware of express, and for a bare server of node.
 */

import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import t from 'tap';
import { type GuardedRequest, resilience as middleware } from '../../src/resilience/express.ts';
import { resilience as plugin } from '../../src/resilience/fastify.ts';
import {
  type Breaker,
  type Bulkhead,
  createManualClock,
  type Deadline,
  type GuardOptions,
  type ResilienceEvent,
} from '../../src/resilience/index.ts';
import { deferred, until } from '../support/wait.ts';

/** Of a test. */
interface Teardown {
  teardown(end: () => unknown): void;
}

/** What a handler is given, whatever the framework. */
interface Visit {
  readonly path: string;
  readonly deadline: Deadline | undefined;
}

type Handler = (visit: Visit) => unknown;

interface Service {
  readonly server: Server;
  readonly bulkhead: Bulkhead | undefined;
  breaker(name: string): Breaker;
  close(): Promise<unknown>;
}

/** Options whose functions look at what every framework has. */
type Options = GuardOptions<{ readonly headers: GuardedRequest['headers']; readonly url?: string | undefined }>;

const listen = (server: Server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const close = (server: Server) => new Promise((resolve) => server.close(resolve));

const frameworks: Record<string, (options: Options, handler: Handler) => Promise<Service>> = {
  async fastify(options, handler) {
    const app = fastify();
    await app.register(plugin, options);
    app.get('/*', async (request) => ({ said: await handler({ path: request.url, deadline: request.deadline }) }));
    await app.listen({ port: 0, host: '127.0.0.1' });
    const { bulkhead } = app.resilience;
    return { server: app.server, bulkhead, breaker: (name) => app.resilience.breaker(name), close: () => app.close() };
  },
  async express(options, handler) {
    const guard = middleware(options);
    const app = express().set('env', 'test');
    app.use(guard);
    app.get('/{*path}', async (request, response) => {
      response.json({ said: await handler({ path: request.url, deadline: (request as GuardedRequest).deadline }) });
    });
    const server = createServer(app);
    await listen(server);
    return { server, bulkhead: guard.bulkhead, breaker: guard.breaker, close: () => close(server) };
  },
  async 'a server of node'(options, handler) {
    const guard = middleware(options);
    const server = createServer((request: GuardedRequest, response) => {
      guard(request, response, async () => {
        try {
          response.end(JSON.stringify({ said: await handler({ path: request.url!, deadline: request.deadline }) }));
        } catch (error) {
          const { status = 500, headers = {} } = error as { status?: number; headers?: Record<string, string> };
          response.writeHead(status, headers).end();
        }
      });
    });
    await listen(server);
    return { server, bulkhead: guard.bulkhead, breaker: guard.breaker, close: () => close(server) };
  },
};

for (const [name, start] of Object.entries(frameworks)) {
  const clock = createManualClock();

  async function stand(t: Teardown, options: Options, handler: Handler = ({ path }) => path) {
    const events: ResilienceEvent[] = [];
    const service = await start({ clock, onEvent: (event) => events.push(event), ...options }, handler);
    t.teardown(() => service.close());
    const { port } = service.server.address() as AddressInfo;
    return { ...service, events, port, ask: (path = '/', headers: Record<string, string> = {}) => ask(port, path, headers) };
  }

  t.test(`${name}: who comes too often gets 429 with Retry-After and RateLimit fields`, async (t) => {
    const { ask, events } = await stand(t, { rateLimit: { name: 'per-client', requests: 2, perMs: 10_000 } });
    t.match(await ask(), { status: 200, body: { said: '/' }, headers: { 'ratelimit-policy': '"per-client";q=2;w=10', ratelimit: /r=1/ } });
    t.match(await ask(), { status: 200, headers: { ratelimit: '"per-client";r=0;t=10' } });
    const refused = await ask();
    t.match(refused, {
      status: 429,
      body: { code: 'rate_limited', message: 'More requests than the rate allows' },
      headers: { 'retry-after': '5', 'ratelimit-policy': '"per-client";q=2;w=10', ratelimit: '"per-client";r=0;t=5' },
    });
    t.match(
      events.map(({ event, key }) => [event, key]),
      [
        ['limit_began', undefined],
        ['rate_limited', '4:7f000001'],
      ],
    );
    clock.advance(5_000);
    t.equal((await ask()).status, 200);
  });

  t.test(`${name}: keys are the service's, and who is exempt or has none is not counted`, async (t) => {
    const options: Options = {
      rateLimit: { requests: 1, key: ({ headers }) => headers['x-user'] as string | undefined },
      isExempt: ({ url }) => url === '/health',
    };
    const { ask } = await stand(t, options);
    t.equal((await ask('/', { 'x-user': 'a' })).status, 200);
    t.equal((await ask('/', { 'x-user': 'b' })).status, 200);
    t.equal((await ask('/', { 'x-user': 'a' })).status, 429);
    t.equal((await ask('/health', { 'x-user': 'a' })).status, 200);
    t.match(await ask('/'), { status: 200, headers: { ratelimit: undefined } });
  });

  t.test(`${name}: so many are served at once, so many wait, the others get 503 with Retry-After`, async (t) => {
    const gates = [deferred<string>(), deferred<string>()];
    let begun = 0;
    const { ask, bulkhead, events } = await stand(t, { bulkhead: { max: 1, queue: 1 } }, () => gates[begun++]!.promise);
    const first = ask('/first');
    await until('the first is served', () => begun === 1);
    const second = ask('/second');
    await until('the second waits', () => bulkhead!.waiting === 1);
    t.match(await ask('/third'), { status: 503, body: { code: 'route_full' }, headers: { 'retry-after': '1' } });
    gates[0]!.resolve('one');
    t.match(await first, { status: 200, body: { said: 'one' } });
    gates[1]!.resolve('two');
    t.match(await second, { status: 200, body: { said: 'two' } });
    await until('the places are back', () => bulkhead!.inFlight === 0);
    t.same(
      events.map(({ event }) => event),
      ['queued', 'route_full'],
    );
  });

  t.test(`${name}: who waits too long gets 503, and clients that leave hold nothing`, async (t) => {
    const gate = deferred<string>();
    let begun = 0;
    const handler = () => {
      begun += 1;
      return gate.promise;
    };
    const { ask, port, bulkhead } = await stand(t, { bulkhead: { max: 1, queue: 2, queueTimeoutMs: 500 } }, handler);
    const served = leavable(port);
    await until('it is served', () => begun === 1);
    const leaving = leavable(port);
    await until('it waits', () => bulkhead!.waiting === 1);
    const patient = ask('/');
    await until('two wait', () => bulkhead!.waiting === 2);
    leaving.destroy();
    await until('one has left the queue', () => bulkhead!.waiting === 1);
    clock.advance(500);
    t.match(await patient, { status: 503, body: { code: 'queue_timeout' } });
    served.destroy();
    await until('the place of a client that left is free', () => bulkhead!.inFlight === 0);
    t.equal(begun, 1, 'nobody who left was served');
    t.equal(clock.pending, 0);
    gate.resolve('late');
  });

  t.test(`${name}: a request has its deadline, which aborts what is done for it`, async (t) => {
    const seen: Deadline[] = [];
    const handler = async ({ path, deadline }: Visit) => {
      seen.push(deadline!);
      return path === '/slow' ? deadline!.run(() => new Promise(() => {})) : deadline!.headers();
    };
    const { ask, port } = await stand(t, { deadline: { maxMs: 2_000, header: 'x-timeout-ms' } }, handler);
    t.match(await ask(), { status: 200, body: { said: { 'x-timeout-ms': '2000', 'grpc-timeout': '2000m' } } });
    t.match(await ask('/', { 'x-timeout-ms': '300' }), { body: { said: { 'x-timeout-ms': '300' } } });
    t.equal(clock.pending, 0, 'a deadline ends with its response');
    t.notOk(seen.some(({ signal }) => signal.aborted));

    const late = ask('/slow', { 'x-timeout-ms': '300' });
    await until('it is asked', () => seen.length === 3);
    clock.advance(300);
    t.equal((await late).status, 504);

    const left = leavable(port, '/slow');
    await until('it is asked', () => seen.length === 4);
    left.destroy();
    await until('its work is aborted', () => seen[3]!.signal.aborted);
    t.match(seen[3]!.signal.reason, { code: 'client_gone' });
    t.equal(clock.pending, 0);
  });

  t.test(`${name}: a breaker that is open becomes 503 with Retry-After`, async (t) => {
    const breaker = deferred<Breaker>();
    const handler = async () => (await breaker.promise).run(() => Promise.reject(new Error('down')));
    const stood = await stand(t, { breakers: { consecutive: 1, ejectMs: 7_000 } }, handler);
    breaker.resolve(stood.breaker('payments'));
    t.equal((await stood.ask()).status, 500);
    t.match(await stood.ask(), { status: 503, headers: { 'retry-after': '7' } });
    t.match(stood.events, [{ event: 'breaker_opened', name: 'payments' }, { event: 'circuit_open' }]);
  });
}

t.test('fastify: a plugin on a part of the service is for that part, within what is around it', async (t) => {
  const clock = createManualClock();
  const app = fastify();
  t.teardown(() => app.close());
  await app.register(plugin, { clock, deadline: { maxMs: 1_000 } });
  app.get('/', async ({ deadline }) => deadline?.remainingMs());
  await app.register(async (part) => {
    await part.register(plugin, { clock, deadline: { maxMs: 5_000 }, rateLimit: { requests: 1 } });
    part.get('/part', async ({ deadline }) => deadline?.remainingMs());
  });
  t.equal((await app.inject('/part')).payload, '1000', 'never more than the whole has');
  t.equal((await app.inject('/part')).statusCode, 429);
  t.equal((await app.inject('/')).payload, '1000');
  t.equal(clock.pending, 0);
});

t.test('fastify: a refusal goes to the error handler of the service', async (t) => {
  const app = fastify();
  t.teardown(() => app.close());
  app.setErrorHandler((error: { code: string }, _request, reply) => reply.code(418).send(error.code));
  await app.register(plugin, { rateLimit: { requests: 1, perMs: 60_000 } });
  app.get('/', async () => 'fine');
  await app.inject('/');
  t.match(await app.inject('/'), { statusCode: 418, payload: 'rate_limited' });
});

t.test('express: a service may answer refusals itself, or leave them to its error handlers', async (t) => {
  const app = express();
  const limit = { requests: 1, perMs: 60_000 };
  const forward = middleware({ rateLimit: limit, onRefused: (error, _request, _response, next) => next(error) });
  app.get('/forward', forward, (_request, response) => void response.end('fine'));
  app.use(((error, _request, response, _next) => void response.status(418).json({ code: error.code })) as express.ErrorRequestHandler);
  const server = createServer(app);
  await listen(server);
  t.teardown(() => close(server));
  const { port } = server.address() as AddressInfo;
  t.equal((await ask(port, '/forward', {})).status, 200);
  t.match(await ask(port, '/forward', {}), { status: 418, body: { code: 'rate_limited' } });
});

/** A connection of its own, so that servers close at once. */
function ask(port: number, path: string, headers: Record<string, string>) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: unknown }>((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const body = text.startsWith('{') ? JSON.parse(text) : text;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** A request that is broken off. */
function leavable(port: number, path = '/') {
  const asked = request({ port, host: '127.0.0.1', path, agent: false });
  asked.on('error', () => {});
  asked.end();
  return asked;
}
