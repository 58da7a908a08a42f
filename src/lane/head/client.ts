/**
 * Who the client is: the peer, or, where the peer is a proxy of our own, whom its forwarded fields name. Read once a head, into the same object.
 */

import type { ListenerSnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';

export class Client {
  /** 4 or 6. An IPv4 address in IPv6 form (::ffff:0:0/96) is 4. */
  family = 4;
  /** 4 or 16 bytes in network order. */
  readonly address: Uint8Array = new Uint8Array(16);
  /** The peer is in a trusted network of its listener. */
  isPeerTrusted = false;

  private readonly bytes: Uint8Array;

  /** `bytes` is the shard's memory. */
  constructor(_listeners: readonly ListenerSnapshot[], bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Takes the client of `head`. */
  read(head: HeadReader): void {
    this.family = head.peerFamily;
    const start = head.peerByte;
    for (let i = 0; i < 16; i++) this.address[i] = this.bytes[start + i]!;
  }
}
