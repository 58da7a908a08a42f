/**
 * The request that `routes test` asks about: from the words of the command line to a head in the
 * form in which the lane reads heads, canonical as a listener would have made it.
 */

import { createError } from '../../base/errors.ts';
import type { ListenerSnapshot } from '../../config/snapshot/listener.ts';
import { parseAddress } from '../../lane/head/address.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { placeHead } from '../../record/head.ts';
import { HEAD_IDEMPOTENT } from '../../record/layout.ts';
import type { HeadReader } from '../../record/read.ts';
import type { RecordMemory } from '../../record/ring.ts';

/** A request as it is asked about. */
export interface AskedRequest {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  /** With query. */
  readonly path: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Address of the connection's peer. */
  readonly peer: string;
}

/**
 * Parts of a URL as they stand in it: nothing is resolved or escaped here, because that is the
 * listener's to do. Throws `usage_not_valid`.
 */
export function splitUrl(url: string): Pick<AskedRequest, 'scheme' | 'authority' | 'path'> {
  const parts = /^(?:([a-z]+):\/\/)?([^/?#]+)([^#]*)(#.*)?$/i.exec(url);
  if (parts === null) throw createError('usage_not_valid', `'${url}' is not a URL`);
  const [, scheme = 'https', authority = '', target = '', fragment] = parts;
  if (fragment !== undefined) throw createError('usage_not_valid', `'${url}' has a fragment, which is never sent`);
  if (/[^!-~]/.test(authority + target)) throw createError('usage_not_valid', `'${url}' has characters that must be percent-encoded`);
  return { scheme: scheme.toLowerCase(), authority, path: target.startsWith('/') ? target : `/${target}` };
}

/** What a listener makes of a request: its canonical form, or why it has none. */
export function canonical(
  asked: AskedRequest,
  listener: ListenerSnapshot | undefined,
  addon: Pick<BindingAddon, 'normalise'>,
): { request: AskedRequest; complaint: string } {
  if (listener === undefined || !listener.normalise.enabled) return { request: asked, complaint: '' };
  const { merge_slashes: areSlashesMerged, escaped_slashes: escapedSlashes } = listener.normalise;
  const { authority, path, complaint } = addon.normalise(asked.authority, asked.path, asked.scheme, areSlashesMerged, escapedSlashes);
  return complaint === '' ? { request: { ...asked, authority, path }, complaint } : { request: asked, complaint };
}

/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/**
 * Writes `asked` into `memory` as a Head of listener 0 and gives a reader that points at it. Throws
 * `usage_not_valid` for a peer that is no address.
 */
export function readAsked(asked: AskedRequest, memory: RecordMemory): HeadReader {
  return placeHead(memory, { ...asked, peer: addressOf(asked.peer), flags: IDEMPOTENT.has(asked.method) ? HEAD_IDEMPOTENT : 0 });
}

/** Bytes of an address, 4 or 16. */
function addressOf(peer: string): Uint8Array {
  const given = Buffer.from(peer, 'latin1');
  const address = new Uint8Array(16);
  const family = parseAddress(given, 0, given.length, address);
  if (family === 0) throw createError('usage_not_valid', `'${peer}' is not an address`);
  return family === 4 ? address.subarray(0, 4) : address;
}
