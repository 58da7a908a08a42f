/**
 * The admin API: fastify with a file for each group of routes. It answers people, orchestrators and
 * scrapers; nothing a client of the edge sends ever reaches it.
 */

import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify, { type ConnectionError, type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { hostPort } from '../../base/authority.ts';
import { ADMIN_ERRORS, type AdminErrorCode, createError, errorEntry, LychgateError } from '../../base/errors.ts';
import { showValue } from '../../config/problem.ts';
import { type HostPort, isLoopback, parseAddress } from '../listen/address.ts';
import { listenHint } from '../listen/port-check.ts';
import { certificateRoutes } from './certificates.ts';
import { configRoutes } from './config.ts';
import { connectionRoutes } from './connections.ts';
import { endStreams, eventRoutes } from './events.ts';
import { faultRoutes } from './faults.ts';
import { guard, refuse } from './guard.ts';
import { healthRoutes } from './health.ts';
import { limitRoutes } from './limits.ts';
import { logLevelRoutes } from './log-level.ts';
import { metricsRoutes } from './metrics.ts';
import type { AdminParts } from './parts.ts';
import { type PlaceCounts, Places } from './places.ts';
import { reloadRoutes } from './reload.ts';
import { statusRoutes } from './status.ts';
import { upstreamRoutes } from './upstreams.ts';
import { explainValue } from './values.ts';
import { weightRoutes } from './weights.ts';

/** The largest body any route takes is a list of weights. */
const MAX_BODY_BYTES = 4_096;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 30_000;
/**
 * How often requests are looked at that are not whole in time; Node's own pace is half a minute.
 */
const CHECK_INTERVAL_MS = 1_000;

export interface ProbesOptions {
  /** `ip:port`; port 0 takes a free one. */
  readonly address: string;
  /** Connections at once. */
  readonly maxConnections: number;
  readonly counts: PlaceCounts;
}

export interface AdminOptions extends ProbesOptions {
  /** Empty for none. */
  readonly token: string;
}

export interface Admin {
  /** Listens; resolves to the address taken. Throws `admin_failed`. */
  start(): Promise<string>;
  stop(): Promise<void>;
  /**
   * Another token and limit from the next request on. Streams that were opened with another token
   * end.
   */
  change(options: { readonly token: string; readonly maxConnections: number }): void;
  /** Takes no connection any more, answers what was asked, and stops. */
  leave(): Promise<void>;
}

/** How long requests may take when an address is left. */
const LEAVE_PATIENCE_MS = 10_000;
const LEAVE_LOOK_MS = 20;

const ROUTES = [
  healthRoutes,
  metricsRoutes,
  statusRoutes,
  upstreamRoutes,
  weightRoutes,
  limitRoutes,
  certificateRoutes,
  connectionRoutes,
  eventRoutes,
  configRoutes,
  logLevelRoutes,
  reloadRoutes,
  faultRoutes,
] as const;

/**
 * Composes the API. Throws `admin_failed` for an address that others could reach without a token.
 */
export function createAdmin(parts: AdminParts, options: AdminOptions): Admin {
  if (!isLoopback(addressOf(options.address).host) && options.token === '') {
    throw createError('admin_failed', `admin address ${options.address} can be reached from other machines and needs a token`, {
      address: options.address,
    });
  }
  return serverOf(parts, ROUTES, options, 'admin API');
}

/** The two probes by themselves. They need no token on any address: what they tell is one word. */
export function createProbes(parts: Pick<AdminParts, 'log' | 'status'>, options: ProbesOptions): Admin {
  return serverOf(parts, [healthRoutes], { ...options, token: '' }, 'server of the probes');
}

type Routes<P> = readonly ((app: FastifyInstance, parts: P) => void)[];

function serverOf<P extends Pick<AdminParts, 'log'>>(parts: P, routes: Routes<P>, options: AdminOptions, what: string): Admin {
  const { host, port } = addressOf(options.address);
  const app = createApp(parts);
  const places = new Places(options.maxConnections, options.counts);
  places.keep(app.server);
  const checks = guard(app, { token: options.token, isLoopback: isLoopback(host), places });
  let { token } = options;
  let underWay = 0;
  app.server.on('request', (_request, response) => {
    underWay += 1;
    response.once('close', () => {
      underWay -= 1;
    });
  });
  for (const route of routes) route(app, parts);

  return {
    async start() {
      try {
        await app.listen({ host, port });
      } catch (error) {
        const detail = `the ${what} cannot listen on ${options.address}${listenHint(error)}`;
        throw createError('admin_failed', detail, { address: options.address }, error);
      }
      const taken = app.server.address();
      return taken === null || typeof taken === 'string' ? options.address : hostPort(host, taken.port);
    },
    stop: () => app.close(),
    change(next) {
      places.limit(next.maxConnections);
      if (next.token === token) return;
      ({ token } = next);
      checks.setToken(token);
      endStreams(app);
    },
    async leave() {
      checks.closeSoon();
      app.server.close();
      app.server.closeIdleConnections();
      endStreams(app);
      const untilMs = performance.now() + LEAVE_PATIENCE_MS;
      while (underWay > 0 && performance.now() < untilMs) await sleep(LEAVE_LOOK_MS);
      await app.close();
    },
  };
}

function addressOf(address: string): HostPort {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw createError('admin_failed', `admin address ${address} is not ip:port`, { address });
  return parsed;
}

function createApp({ log }: Pick<AdminParts, 'log'>): FastifyInstance {
  const logger = log.target('admin');
  const app = Fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    forceCloseConnections: true,
    http: { connectionsCheckingInterval: CHECK_INTERVAL_MS },
    // A stop must be able to answer whoever asks at the same moment.
    return503OnClosing: true,
    clientErrorHandler: answerBroken,
    frameworkErrors: (_error, _request, reply) => refuse(reply as FastifyReply, 'request_not_readable'),
    // Verbose: a refusal names the value.
    ajv: { customOptions: { removeAdditional: false, verbose: true } },
  });
  app.server.headersTimeout = REQUEST_TIMEOUT_MS;
  // A form of another page can POST text, and for that the answer is no. Before a PUT a browser
  // asks, whatever is in it, and is never told yes; so a PUT is read as JSON whatever it says it
  // is, which makes `curl -d` enough.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    const isJson = /^application\/json *(;|$)/i.test(request.headers['content-type'] ?? '');
    if (request.method !== 'PUT' && !isJson) return done(createError('media_type_not_supported'));
    try {
      done(null, JSON.parse(String(body)));
    } catch {
      done(createError('body_not_json', body === '' ? 'the body is empty; expected JSON' : `${showValue(String(body))} is no JSON`));
    }
  });

  app.setNotFoundHandler((request, reply) => refuse(reply, 'not_found', `there is no ${request.method} ${showValue(request.url)}`));
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const code = codeOf(error);
    if (code !== 'internal')
      return refuse(reply, code, explainValue(error) ?? (error instanceof LychgateError ? error.message : undefined));
    logger.error({ err: error, method: request.method, path: request.url }, 'admin request failed');
    return refuse(reply, 'internal');
  });
  return app;
}

/** The registry's code of what a handler or the framework threw. */
function codeOf(error: FastifyError | LychgateError): AdminErrorCode {
  if (error instanceof LychgateError) return ADMIN_ERRORS.find(({ code }) => code === error.code)?.code ?? 'internal';
  if (error.validation !== undefined) return 'value_not_valid';
  const status = error.statusCode ?? 500;
  if (status >= 500) return 'internal';
  return status === 413 ? 'body_too_large' : status === 415 ? 'media_type_not_supported' : 'request_not_readable';
}

/** Answers what never became a request: the bytes go straight to the socket. */
function answerBroken(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const code =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'head_too_large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'request_timeout'
        : 'request_not_readable';
  const { status } = errorEntry(code);
  const body = JSON.stringify({ error: code, status });
  const head = [
    'content-type: application/json; charset=utf-8',
    'cache-control: no-store',
    'connection: close',
    `content-length: ${body.length}`,
  ];
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...head, '', body].join('\r\n'));
}
