/**
 * Who may speak to the admin API. With a token every route but the two health checks asks for it.
 * Without one the API is on loopback, where the danger is a browser on the same machine: a page
 * whose name is re-bound to 127.0.0.1 still sends its own name in Host, so Host must name loopback;
 * and no answer may be framed, sniffed or stored.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type AdminErrorCode, errorEntry } from '../../base/errors.ts';
import { isLoopback, parseAddress } from '../listen/address.ts';
import { type Places, PROBES, pathOf } from './places.ts';

/** What is checked, and may change. */
export interface Guard {
  /** Another token holds from the next request on; empty for none. */
  setToken(token: string): void;
  /** Connections are closed after their answers from now on. */
  closeSoon(): void;
}

export interface GuardOptions {
  /** Empty for none. */
  readonly token: string;
  /** Whether the API listens on loopback. */
  readonly isLoopback: boolean;
  readonly places: Places;
}

/** Puts the checks before every route, also before those that do not exist. */
export function guard(app: FastifyInstance, options: GuardOptions): Guard {
  let expected = expectedOf(options.token);
  let isLeaving = false;

  app.addHook('onRequest', async (request, reply) => {
    if (options.places.isRefused(request.raw)) return refuse(reply.header('connection', 'close'), 'admin_busy');
    if (options.isLoopback && !namesLoopback(request.headers.host)) return refuse(reply, 'host_not_allowed');
    if (expected === undefined || PROBES.has(pathOf(request.url))) return;
    if (timingSafeEqual(digest(bearerOf(request)), expected)) return;
    reply.header('www-authenticate', 'Bearer');
    return refuse(reply, 'token_required');
  });

  app.addHook('onSend', async (_request, reply) => {
    if (isLeaving) reply.header('connection', 'close');
    reply.headers({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
  });
  return {
    setToken: (token) => {
      expected = expectedOf(token);
    },
    closeSoon: () => {
      isLeaving = true;
    },
  };
}

function expectedOf(token: string): Buffer | undefined {
  return token === '' ? undefined : digest(token);
}

/**
 * Ends a request with a code of the registry; `detail` says which value it is about and what is
 * expected.
 */
export function refuse(reply: FastifyReply, error: AdminErrorCode, detail?: string): FastifyReply {
  const { status } = errorEntry(error);
  return reply.code(status).send({ error, status, ...(detail === undefined ? {} : { detail }) });
}

function namesLoopback(host: string | undefined): boolean {
  if (host === undefined || host === '') return false;
  // A forwarded port (ssh -L) is as good as our own; only the name counts.
  const name = parseAddress(host)?.host ?? host.replace(/^\[|\]$/g, '');
  return isLoopback(name);
}

function bearerOf(request: FastifyRequest): string {
  return /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
}

/** Digests have one length, which is what a comparison in constant time needs. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
