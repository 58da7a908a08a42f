/**
 * The target of a redirect: an absolute URL (RFC 9110 §10.2.2) made of the route's settings and,
 * where they leave parts open, of the request.
 */

import type { RedirectSnapshot } from '../../config/snapshot/route.ts';
import type { HeadReader } from '../../record/read.ts';
import { compilePathEdit, type PathEdit } from '../head/path-edit.ts';

/** The longest Location; a request that needs a longer one gets 414. */
export const MAX_LOCATION_BYTES = 8_192;

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

export class Location {
  private readonly redirect: RedirectSnapshot;
  private readonly path: PathEdit | undefined;

  constructor(redirect: RedirectSnapshot) {
    this.redirect = redirect;
    this.path = compilePathEdit(redirect.path);
  }

  /** Undefined if it would be too long. */
  of(head: HeadReader): string | undefined {
    const { redirect } = this;
    const scheme = redirect.scheme === '' ? head.scheme() : redirect.scheme;
    const [host, askedPort] = splitAuthority(head.authority());
    // Another scheme has another port than the one in the request.
    const keptPort = redirect.scheme === '' || redirect.scheme === head.scheme() ? askedPort : 0;
    const port = redirect.port === 0 ? keptPort : redirect.port;
    const authority = (redirect.host === '' ? host : redirect.host) + (port === 0 || port === DEFAULT_PORTS[scheme] ? '' : `:${port}`);
    const target = visible(this.target(head));
    const location = `${scheme}://${authority}${target}`;
    return location.length > MAX_LOCATION_BYTES ? undefined : location;
  }

  private target(head: HeadReader): string {
    const asked = head.path();
    // `OPTIONS *` has no path.
    if (!asked.startsWith('/')) return '/';
    const mark = asked.indexOf('?');
    const kept = this.redirect.isQueryKept || mark === -1 ? asked : asked.slice(0, mark);
    return this.path?.apply(kept) ?? kept;
  }
}

/** The host, an IPv6 address in brackets, and the port, 0 for none. */
function splitAuthority(authority: string): [host: string, port: number] {
  const parts = /^(.*):(\d+)$/.exec(authority);
  return parts === null ? [authority, 0] : [parts[1]!, Number(parts[2])];
}

/** Listeners that do not make heads canonical let bytes through that are invalid in a URL. */
function visible(target: string): string {
  return target.replace(/[^!-~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}
