/**
 * Where a redirect leads: an absolute URL (RFC 9110 §10.2.2) made of what the route says and, for
 * what it leaves open, of the request.
 */

import type { RedirectSnapshot } from '../../config/snapshot/route.ts';
import type { HeadReader } from '../../record/read.ts';
import { compilePathEdit, type PathEdit } from '../head/path-edit.ts';

/** No Location is longer; a request that would need one is told so. */
export const MAX_LOCATION_BYTES = 8_192;

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

export class Location {
  private readonly redirect: RedirectSnapshot;
  private readonly path: PathEdit | undefined;

  constructor(redirect: RedirectSnapshot) {
    this.redirect = redirect;
    this.path = compilePathEdit(redirect.path);
  }

  /** Undefined when it would be too long. */
  of(head: HeadReader): string | undefined {
    const { redirect } = this;
    const scheme = redirect.scheme === '' ? head.scheme() : redirect.scheme;
    const [host, askedPort] = splitAuthority(head.authority());
    // Another scheme is served on another port than the one that was asked.
    const keptPort = redirect.scheme === '' || redirect.scheme === head.scheme() ? askedPort : 0;
    const port = redirect.port === 0 ? keptPort : redirect.port;
    const authority = (redirect.host === '' ? host : redirect.host) + (port === 0 || port === DEFAULT_PORTS[scheme] ? '' : `:${port}`);
    const target = visible(this.target(head));
    const location = `${scheme}://${authority}${target}`;
    return location.length > MAX_LOCATION_BYTES ? undefined : location;
  }

  private target(head: HeadReader): string {
    const asked = head.path();
    // `OPTIONS *` asks about no path.
    if (!asked.startsWith('/')) return '/';
    const mark = asked.indexOf('?');
    const kept = this.redirect.isQueryKept || mark === -1 ? asked : asked.slice(0, mark);
    return this.path?.apply(kept) ?? kept;
  }
}

/** Host, in brackets where it is an IPv6 address, and port, 0 for none. */
function splitAuthority(authority: string): [host: string, port: number] {
  const parts = /^(.*):(\d+)$/.exec(authority);
  return parts === null ? [authority, 0] : [parts[1]!, Number(parts[2])];
}

/** A listener that does not make heads canonical lets bytes through that cannot stand in a URL. */
function visible(target: string): string {
  return target.replace(/[^!-~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}
