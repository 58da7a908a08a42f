/**
 * Who the client is: the peer, or, where the peer is a proxy of our own, whom its forwarded fields name. Read once a head, into the same object.
 */

import type { ListenerSnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';
import { unmap } from './address.ts';
import { type ClientField, ForwardedAddresses } from './forwarded.ts';
import type { Lookups } from './lookups.ts';
import { Networks } from './networks.ts';

export class Client {
  /** 4 or 6. An IPv4 address in IPv6 form (::ffff:0:0/96) is 4. */
  family = 4;
  /** 4 or 16 bytes in network order. */
  readonly address: Uint8Array = new Uint8Array(16);
  /** The peer is in a trusted network of its listener. */
  isPeerTrusted = false;

  private readonly bytes: Uint8Array;
  /** By listener; undefined where it trusts nobody. */
  private readonly trusted: readonly (Networks | undefined)[];
  private readonly forwarded: ForwardedAddresses;

  constructor(listeners: readonly ListenerSnapshot[], lookups: Lookups, field: ClientField = 'x-forwarded-for') {
    this.bytes = lookups.bytes;
    this.trusted = listeners.map(({ trustedNetworks }) => (trustedNetworks.length === 0 ? undefined : new Networks(trustedNetworks)));
    this.forwarded = new ForwardedAddresses(lookups, field);
  }

  /** Takes the client of `head`. */
  read(head: HeadReader): void {
    this.readPeer(head);
    const trusted = this.trusted[head.listener];
    this.isPeerTrusted = trusted?.has(this.family, this.address) ?? false;
    if (this.isPeerTrusted) this.readForwarded(head, trusted!);
  }

  /**
   * The client's network as the reactor's `Client::network` has it, as two words: an IPv4 address and 0xffff, or the first 64 bits of an IPv6 address, of which 0
   * counts as 1.
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
    const start = head.peerByte;
    const isLong = head.peerFamily === 6;
    const length = isLong ? 16 : 4;
    for (let i = 0; i < length; i++) address[i] = bytes[start + i]!;
    this.family = isLong ? unmap(address) : 4;
  }

  /**
   * Each proxy appends whom it was asked by, so the list is read from its end, and only as long as it was written by proxies that are trusted: the first address that is
   * not theirs is the client, whatever stands before it. Where all are theirs it is the first of all. What cannot be read leaves the peer.
   */
  private readForwarded(head: HeadReader, trusted: Networks): void {
    const { forwarded, address } = this;
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
