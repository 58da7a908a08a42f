/**
 * The admin API: fastify with a file for each group of routes. It answers people, orchestrators and scrapers; nothing a client of the edge
 * sends ever reaches it.
 */
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { createError } from '../../base/errors.ts';
import { formatAddress, isLoopback, parseAddress } from '../address.ts';
import { listenHint } from '../port-check.ts';
import { configRoutes } from './config.ts';
import { connectionRoutes } from './connections.ts';
import { eventRoutes } from './events.ts';
import { faultRoutes } from './faults.ts';
import { guard, refuse } from './guard.ts';
import { healthRoutes } from './health.ts';
import { limitRoutes } from './limits.ts';
import { logLevelRoutes } from './log-level.ts';
import { metricsRoutes } from './metrics.ts';
import type { AdminParts } from './parts.ts';
import { statusRoutes } from './status.ts';
import { upstreamRoutes } from './upstreams.ts';
import { weightRoutes } from './weights.ts';

/** The largest body any route takes is a list of weights. */
const MAX_BODY_BYTES = 4_096;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 30_000;
const MAX_SOCKETS = 256;

export interface AdminOptions {
  /** `ip:port`; port 0 takes a free one. */
  readonly address: string;
  /** Empty for none. */
  readonly token: string;
}

export interface Admin {
  /** Listens; resolves to the address taken. Throws `admin_failed`. */
  start(): Promise<string>;
  stop(): Promise<void>;
}

const ROUTES = [
  healthRoutes,
  metricsRoutes,
  statusRoutes,
  upstreamRoutes,
  weightRoutes,
  limitRoutes,
  connectionRoutes,
  eventRoutes,
  configRoutes,
  logLevelRoutes,
  faultRoutes,
] as const;

/** Composes the API. Throws `admin_failed` for an address that others could reach without a token. */
export function createAdmin(parts: AdminParts, options: AdminOptions): Admin {
  const address = parseAddress(options.address);
  if (address === undefined)
    throw createError('admin_failed', `admin address ${options.address} is not ip:port`, { address: options.address });
  const isLocal = isLoopback(address.host);
  if (!isLocal && options.token === '') {
    throw createError('admin_failed', `admin address ${options.address} can be reached from other machines and needs a token`, {
      address: options.address,
    });
  }

  const app = createApp(parts);
  guard(app, { token: options.token, isLoopback: isLocal });
  for (const route of ROUTES) route(app, parts);

  return {
    async start() {
      try {
        await app.listen({ host: address.host, port: address.port });
      } catch (error) {
        const detail = `the admin API cannot listen on ${options.address}${listenHint(error)}`;
        throw createError('admin_failed', detail, { address: options.address }, error);
      }
      const taken = app.server.address();
      return taken === null || typeof taken === 'string' ? options.address : formatAddress({ host: address.host, port: taken.port });
    },
    stop: () => app.close(),
  };
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
    // A stop must be able to answer whoever asks at the same moment.
    return503OnClosing: true,
    ajv: { customOptions: { removeAdditional: false } },
  });
  app.server.maxConnections = MAX_SOCKETS;
  app.server.headersTimeout = REQUEST_TIMEOUT_MS;
  // A form of another page could send text; JSON makes a browser ask first, and it is never told yes.
  app.removeContentTypeParser('text/plain');

  app.setNotFoundHandler((_request, reply) => refuse(reply, 404, 'not_found'));
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) return refuse(reply, status, (error.code ?? 'bad_request').replace(/^FST_(ERR_)?/, '').toLowerCase());
    logger.error({ err: error, method: request.method, path: request.url }, 'admin request failed');
    return refuse(reply, 500, 'internal');
  });
  return app;
}
