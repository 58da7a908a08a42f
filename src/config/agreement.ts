/**
 * Checks across keys: what the schema cannot see because it looks at one key at a time. Names must be unique, references must exist, options must
 * fit what they are given for. Nothing here touches the disk.
 */

import { isIP } from 'node:net';
import type { Complaint, KeyPath } from './problem.ts';
import type { Config } from './schema/config.ts';
import type { Listener } from './schema/listener.ts';
import type { Route } from './schema/route.ts';
import { splitAddress } from './schema/rules.ts';
import type { Upstream } from './schema/upstream.ts';
import { suggest } from './suggest.ts';
import { formatSize } from './units.ts';

/** Says of a key that its value is not what the author wrote, so that nothing can be concluded from it. */
export type IsMended = (path: KeyPath) => boolean;

/** Everything on which keys do not agree; what was mended agrees with everything. */
export function checkAgreement(config: Config, isMended: IsMended = () => false): Complaint[] {
  const complaints = [
    ...checkListeners(config.listeners, isMended),
    ...Object.entries(config.upstreams).flatMap(([name, upstream]) => checkUpstream(name, upstream, isMended)),
    ...checkRoutes(config.routes, Object.keys(config.upstreams), isMended),
    ...checkUse(config),
    ...checkAdmin(config.admin),
  ];
  return complaints.filter(({ path }) => !isMended(path));
}

/** Name of a route in logs and metrics where none is configured: host unless any, path, `=` in front of exact ones. */
export function routeName({ name, match }: Route): string {
  if (name !== '') return name;
  return `${match.exact ? '=' : ''}${match.host === '*' ? '' : match.host}${match.path}`;
}

function checkListeners(listeners: readonly Listener[], isMended: IsMended): Complaint[] {
  const complaints: Complaint[] = [];
  const names = new Seen('listener', isMended);
  const addresses = new Seen('listener', isMended);
  for (const [place, listener] of listeners.entries()) {
    const path = ['listeners', place] as const;
    complaints.push(...names.note(listener.name, [...path, 'name'], `listeners[${place}]`));
    const isFreePort = splitAddress(listener.address)?.port === 0;
    if (!isFreePort) complaints.push(...addresses.note(listener.address, [...path, 'address'], `listeners[${place}]`));
    complaints.push(
      ...checkWindows(
        [...path, 'quic'],
        'stream_window',
        listener.quic.stream_window,
        'connection_window',
        listener.quic.connection_window,
      ),
    );
    const certificateNames = new Seen('certificate', isMended);
    for (const [index, { names: answered }] of listener.certificates.entries()) {
      for (const [nameIndex, name] of answered.entries()) {
        const where = [...path, 'certificates', index, 'names', nameIndex];
        complaints.push(...certificateNames.note(name, where, `certificates[${index}]`));
      }
    }
  }
  return complaints;
}

function checkUpstream(name: string, upstream: Upstream, isMended: IsMended): Complaint[] {
  const path = ['upstreams', name] as const;
  const complaints: Complaint[] = [];
  const urls = new Seen('backend', isMended);
  const { backends, pool, tls } = upstream;
  for (const [place, backend] of backends.entries()) {
    complaints.push(...urls.note(backend.url, [...path, 'backends', place, 'url'], `backends[${place}]`));
    if (backend.server_name !== '' && !backend.url.startsWith('https:')) {
      complaints.push({
        path: [...path, 'backends', place, 'server_name'],
        isAboutKey: true,
        message: 'has no meaning without TLS',
        expected: 'an https:// backend',
      });
    }
  }
  if (backends.every(({ weight }) => weight === 0)) {
    complaints.push({
      path: [...path, 'backends'],
      message: 'has only weights of 0, so that nothing could be sent',
      expected: 'one weight above 0',
    });
  }
  if (!backends.some(({ url }) => url.startsWith('https:'))) {
    const expected = 'an https:// backend in this upstream';
    if (!tls.verify)
      complaints.push({ path: [...path, 'tls', 'verify'], isAboutKey: true, message: 'has no meaning without TLS', expected });
    if (tls.ca !== '') complaints.push({ path: [...path, 'tls', 'ca'], isAboutKey: true, message: 'has no meaning without TLS', expected });
  } else if (!tls.verify) {
    const message = 'leaves the certificates of these backends unverified';
    complaints.push({ severity: 'warning', path: [...path, 'tls', 'verify'], message });
  }
  complaints.push(...checkWindows([...path, 'pool'], 'stream_window', pool.stream_window, 'session_window', pool.session_window));
  return complaints;
}

function checkRoutes(routes: readonly Route[], upstreams: readonly string[], isMended: IsMended): Complaint[] {
  const complaints: Complaint[] = [];
  const matches = new Seen('route', isMended);
  const names = new Seen('route', isMended);
  for (const [place, route] of routes.entries()) {
    const path = ['routes', place] as const;
    const { host, path: matched, exact } = route.match;
    const isSameMatch = matches.note(
      `${host} ${matched} ${exact}`,
      [...path, 'match'],
      `routes[${place}]`,
      `${exact ? 'exactly ' : ''}${host} ${matched}`,
    );
    complaints.push(...isSameMatch);
    // Equal matches make equal names; one complaint is enough.
    const isNameOwn = route.name !== '' || (isSameMatch.length === 0 && !isMended([...path, 'match']));
    if (isNameOwn) complaints.push(...names.note(routeName(route), [...path, 'name'], `routes[${place}]`));
    if (!upstreams.includes(route.upstream)) complaints.push(unknownUpstream([...path, 'upstream'], route.upstream, upstreams));
  }
  return complaints;
}

function unknownUpstream(path: KeyPath, name: string, upstreams: readonly string[]): Complaint {
  const near = suggest(name, upstreams);
  const message = near === undefined ? 'is not an upstream' : `is not an upstream; did you mean ${near}?`;
  const complaint = { path, value: JSON.stringify(name), message };
  return near === undefined ? { ...complaint, expected: `one of ${upstreams.join(', ')}` } : complaint;
}

/** An upstream that no route names is probably a route that was forgotten. */
function checkUse({ routes, upstreams }: Config): Complaint[] {
  const used = new Set(routes.map(({ upstream }) => upstream));
  return Object.keys(upstreams)
    .filter((name) => !used.has(name))
    .map((name) => ({ severity: 'warning', path: ['upstreams', name], isAboutKey: true, message: 'is not used by any route' }));
}

function checkAdmin({ address, token, token_file: tokenFile }: Config['admin']): Complaint[] {
  const complaints: Complaint[] = [];
  if (token !== '' && tokenFile !== '') {
    complaints.push({
      path: ['admin', 'token_file'],
      isAboutKey: true,
      message: 'stands beside token',
      expected: 'only one of token and token_file',
    });
  }
  if (address !== '' && !isLoopback(address) && token === '' && tokenFile === '') {
    const expected = 'an address of loopback, or admin.token or admin.token_file beside it';
    complaints.push({
      path: ['admin', 'address'],
      value: JSON.stringify(address),
      message: 'can be reached from outside without a token',
      expected,
    });
  }
  return complaints;
}

/** 127.0.0.0/8 (RFC 1122 §3.2.1.3) or ::1. */
function isLoopback(address: string): boolean {
  const ip = splitAddress(address)?.ip ?? '';
  return isIP(ip) === 4 ? ip.startsWith('127.') : ip === '::1';
}

function checkWindows(path: KeyPath, small: string, smallBytes: number, large: string, largeBytes: number): Complaint[] {
  if (smallBytes <= largeBytes) return [];
  const message = `is larger than ${large} (${formatSize(largeBytes)})`;
  return [{ path: [...path, small], value: formatSize(smallBytes), message, expected: `at most ${large}` }];
}

/** Remembers where a value was first met and complains when it comes again. */
class Seen {
  readonly #what: string;
  readonly #isMended: IsMended;
  readonly #first = new Map<string, string>();

  constructor(what: string, isMended: IsMended) {
    this.#what = what;
    this.#isMended = isMended;
  }

  note(value: string, path: KeyPath, where: string, shown: string = value): Complaint[] {
    if (this.#isMended(path)) return [];
    const first = this.#first.get(value);
    if (first === undefined) {
      this.#first.set(value, where);
      return [];
    }
    const place = first === where ? 'twice' : `already in ${first}`;
    return [{ path, value: JSON.stringify(shown), message: `stands ${place}`, expected: `each ${this.#what} to have its own` }];
  }
}
