/**
 * The client: the peer or, if the peer is a trusted proxy, the client named in its forwarded
 * fields. Read once per head, into the same object.
 */

import { clientFieldsOf } from '../../config/numbering/in-use.ts';
import type { ListenerSnapshot } from '../../config/snapshot/listener.ts';
import type { HeadReader } from '../../record/read.ts';
import { unmap } from './address.ts';
import { ForwardedAddresses } from './forwarded.ts';
import { Networks, NOWHERE } from './networks.ts';
import type { Walks } from './walks.ts';

/**
 * The peer is no trusted proxy. For one that is, `trust` is the index of its field in
 * `clientFieldsOf` + 1.
 */
const NO_TRUST = 0;

export class Client {
  /** 4 or 6. An IPv4-mapped IPv6 address (::ffff:0:0/96) is 4. */
  family = 4;
  /** 4 or 16 bytes in network order. */
  readonly address: Uint8Array = new Uint8Array(16);
  /**
   * The field in which the peer's network is trusted to name the client; NO_TRUST if it is in no
   * trusted network of its listener.
   */
  trust = NO_TRUST;

  private readonly bytes: Uint8Array;
  /** By listener; undefined if it trusts nobody. */
  private readonly trusted: readonly (Networks | undefined)[];
  /** By index of the field. */
  private readonly forwarded: readonly ForwardedAddresses[];

  constructor(listeners: readonly ListenerSnapshot[], lookups: Walks, fields: readonly string[] = clientFieldsOf({ listeners })) {
    this.bytes = lookups.bytes;
    this.trusted = listeners.map(({ trustedNetworks }) => {
      if (trustedNetworks.length === 0) return undefined;
      const blocks = trustedNetworks.map(({ network }) => network);
      return new Networks(
        blocks,
        trustedNetworks.map(({ field }) => fields.indexOf(field)),
      );
    });
    this.forwarded = fields.map((field) => new ForwardedAddresses(lookups, field));
  }

  /** Whether the peer is a trusted proxy. */
  get isPeerTrusted(): boolean {
    return this.trust !== NO_TRUST;
  }

  /** Reads the client of `head`. */
  read(head: HeadReader): void {
    this.readPeer(head);
    const trusted = this.trusted[head.listener];
    const field = trusted === undefined ? NOWHERE : trusted.find(this.family, this.address);
    this.trust = field === NOWHERE ? NO_TRUST : field + 1;
    if (field !== NOWHERE) this.readForwarded(head, trusted!, this.forwarded[field]!);
  }

  /**
   * The client's network as in the reactor's `Client::network`, in two words: an IPv4 address and
   * 0xffff, or the first 64 bits of an IPv6 address, where 0 becomes 1.
   */
  networkLow(): number {
    const { address, family } = this;
    const low = family === 4 ? word(address, 0) : word(address, 4);
    return low === 0 && family === 6 && word(address, 0) === 0 ? 1 : low;
  }

  networkHigh(): number {
    return this.family === 4 ? 0xffff : word(this.address, 0);
  }

  private readPeer(head: HeadReader): void {
    const { address, bytes } = this;
    const start = head.peerAddressByte;
    const isLong = head.peerFamily === 6;
    const length = isLong ? 16 : 4;
    for (let i = 0; i < length; i++) address[i] = bytes[start + i]!;
    this.family = isLong ? unmap(address) : 4;
  }

  /**
   * Reads the field that the peer writes, whichever proxies stand before it. Each proxy appends the
   * address it was asked from. So the list is read from its end, while its writers are trusted
   * proxies: the first address that is not one is the client, whatever stands before it. If all are
   * trusted, the client is the first of the list. If the list cannot be read, the client is the
   * peer.
   */
  private readForwarded(head: HeadReader, trusted: Networks, forwarded: ForwardedAddresses): void {
    const { address } = this;
    forwarded.begin(head);
    while (forwarded.previous()) {
      if (forwarded.family === 0) {
        this.readPeer(head);
        return;
      }
      this.family = forwarded.family;
      for (let i = 0; i < 16; i++) address[i] = forwarded.address[i]!;
      if (!trusted.has(forwarded.family, forwarded.address)) return;
    }
  }
}

/** Four bytes in network order. */
function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
