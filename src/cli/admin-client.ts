/**
 * How commands ask a running edge: its admin API, found by `--admin` or as the default
 * configuration has it.
 */

import type { Command } from 'commander';
import { request } from 'undici';
import { createError } from '../base/errors.ts';
import { givenIn } from '../config/read/override.ts';

/** Where the admin API is, and what it asks for. */
export interface AdminTarget {
  /** `http://host:port`. */
  readonly url: string;
  /** Empty for none. */
  readonly token: string;
}

/** Environment variables that name them where the flags do not. */
const ADMIN_VARIABLE = 'LYCHGATE_ADMIN';
const TOKEN_VARIABLE = 'LYCHGATE_ADMIN_TOKEN';
const DEFAULT_URL = 'http://127.0.0.1:9901';

/** Adds the flags. The token has none: command lines can be read by everyone on a machine. */
export function addAdminTarget(command: Command): Command {
  return command.option(
    '--admin <url>',
    `admin API of the edge; default ${DEFAULT_URL}, or ${ADMIN_VARIABLE}; ${TOKEN_VARIABLE} holds its token`,
  );
}

/** Reads the flags and the environment. Throws `usage_not_valid`. */
export function readAdminTarget(options: { readonly admin?: string }, env: NodeJS.ProcessEnv): AdminTarget {
  const given = options.admin ?? givenIn(env, ADMIN_VARIABLE) ?? DEFAULT_URL;
  const url = given.includes('://') ? given : `http://${given}`;
  if (!URL.canParse(url)) throw createError('usage_not_valid', `${given} is no address of an admin API: expected http://host:port`);
  return { url: url.replace(/\/$/, ''), token: env[TOKEN_VARIABLE] ?? '' };
}

/** The JSON answer of a GET. Throws `admin_failed`, with what the API said. */
export async function askAdmin<T>(target: AdminTarget, path: string): Promise<T> {
  const { statusCode, body } = await send(target, path, 'GET', undefined);
  const text = await body.text();
  if (statusCode !== 200) throw refusal(target, path, statusCode, text);
  return JSON.parse(text) as T;
}

/** Changes something; the JSON answer. Throws `admin_failed`, with what the API said. */
export async function tellAdmin<T>(target: AdminTarget, path: string, order: unknown): Promise<T> {
  const { statusCode, body } = await send(target, path, 'PUT', JSON.stringify(order));
  const text = await body.text();
  if (statusCode !== 200) throw refusal(target, path, statusCode, text);
  return JSON.parse(text) as T;
}

/**
 * Asks for something to be done; the JSON answer, and that of a refusal that says what came of it.
 * Throws `admin_failed` for every other.
 */
export async function postAdmin<T extends { readonly result: string }>(target: AdminTarget, path: string, order: unknown): Promise<T> {
  const { statusCode, body } = await send(target, path, 'POST', JSON.stringify(order));
  const text = await body.text();
  const said = readRefusal(text) as Partial<T>;
  if (typeof said.result !== 'string') throw refusal(target, path, statusCode, text);
  return said as T;
}

/** Lines of a stream of server-sent events, until it ends. */
export async function* followAdmin(target: AdminTarget, path: string): AsyncGenerator<string> {
  const { statusCode, body } = await send(target, path, 'GET', undefined);
  if (statusCode !== 200) throw refusal(target, path, statusCode, await body.text());
  let rest = '';
  for await (const chunk of body.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

async function send({ url, token }: AdminTarget, path: string, method: 'GET' | 'PUT' | 'POST', body: string | undefined) {
  try {
    return await request(`${url}${path}`, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      bodyTimeout: 0,
      // A reload answers when it has ended.
      headersTimeout: 0,
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    throw createError('admin_failed', `the admin API at ${url} cannot be asked`, { url }, error);
  }
}

function refusal({ url }: AdminTarget, path: string, status: number, text: string): Error {
  const { error, detail } = readRefusal(text);
  const said = error === undefined || detail === undefined ? error : `${error}: ${detail}`;
  const hint = status === 401 ? ` (set ${TOKEN_VARIABLE})` : '';
  return createError(
    'admin_failed',
    `the admin API at ${url} answered ${status} to ${path}${said === undefined ? '' : `: ${said}`}${hint}`,
    { url },
  );
}

/** What the body of a refusal says; nothing where it is not one of ours. */
function readRefusal(text: string): { error?: string; detail?: string; result?: string } {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
