/**
 * The endpoint: it opens the listening sockets, one of each listener for each shard, and owns the key of the connection-ID space. Sockets of one
 * listener share an address by SO_REUSEPORT; the kernel chooses among them by connection ID where it lets us, by address otherwise, and then
 * shards hand misdirected packets over.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { createError } from '../base/errors.ts';
import type { ListenerSnapshot } from '../config/snapshot.ts';
import type { BindingAddon } from '../native/binding.ts';
import type { Logger } from '../observe/log.ts';
import { checkUdpFree, listenHint } from './port-check.ts';

/** Bytes of the key that seals connection IDs and stateless-reset tokens. */
const CID_KEY_BYTES = 32;

/** A listener as it was opened. */
export interface OpenListener {
  readonly name: string;
  /** `ip:port` with the port that was really taken. */
  readonly address: string;
  /** The socket of each shard, by shard. */
  readonly fds: readonly number[];
  /** Whether the kernel steers by connection ID. Always true with one shard: there is nothing to steer. */
  readonly isSteered: boolean;
}

export interface EndpointParts {
  readonly addon: Pick<BindingAddon, 'openUdp' | 'steerUdp' | 'closeFd'>;
  readonly log: Logger;
  /** Rejects when an address is taken; the system is asked unless a test says otherwise. */
  readonly checkFree?: (address: string) => Promise<void>;
}

export interface Endpoint {
  readonly cidKey: Uint8Array;
  /** Tells connection IDs of this process from those of the one before it during an upgrade. */
  readonly processGeneration: number;
  /** Opens every socket or none. Throws `listen_failed`. */
  open(listeners: readonly ListenerSnapshot[], shards: number): Promise<readonly OpenListener[]>;
  /** Closes the sockets of shards whose reactors have not taken them. */
  closeFrom(opened: readonly OpenListener[], shard: number): void;
}

export function createEndpoint({ addon, log, checkFree = checkUdpFree }: EndpointParts): Endpoint {
  const cidKey = new Uint8Array(randomBytes(CID_KEY_BYTES));
  return {
    cidKey,
    processGeneration: randomInt(256),
    async open(listeners, shards) {
      const opened: OpenListener[] = [];
      try {
        for (const listener of listeners) opened.push(await openListener(listener, shards));
      } catch (error) {
        closeFrom(opened, 0);
        throw error;
      }
      if (shards > 1) {
        const isSteered = opened.every((listener) => listener.isSteered);
        log.info({ shards, steering: isSteered ? 'kernel' : 'hand-over' }, 'packets find their shard');
      }
      return opened;
    },
    closeFrom,
  };

  async function openListener(listener: ListenerSnapshot, shards: number): Promise<OpenListener> {
    const fds: number[] = [];
    let { address } = listener;
    try {
      await checkFree(address);
      for (let shard = 0; shard < shards; shard++) {
        const socket = addon.openUdp(address, listener.receiveBufferBytes, listener.sendBufferBytes);
        fds.push(socket.fd);
        // Port 0 is taken once; the other shards join the port it became.
        address = withPort(address, socket.port);
      }
      const isSteered = shards === 1 || addon.steerUdp(fds[0] as number, shards, cidKey);
      return { name: listener.name, address, fds, isSteered };
    } catch (error) {
      for (const fd of fds) addon.closeFd(fd);
      const detail = `listener ${listener.name} cannot listen on ${address}${listenHint(error)}`;
      throw createError('listen_failed', detail, { listener: listener.name, address }, error);
    }
  }

  function closeFrom(opened: readonly OpenListener[], shard: number): void {
    for (const { fds } of opened) for (const fd of fds.slice(shard)) addon.closeFd(fd);
  }
}

function withPort(address: string, port: number): string {
  return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
}
