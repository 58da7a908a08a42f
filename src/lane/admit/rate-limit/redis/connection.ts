/**
 * A connection to Redis or Valkey (ioredis): it connects by itself and again, never queues what it cannot send, and gives up on an answer that does not come in
 * time. The library is loaded by whoever has shared limits, and by nobody else. It is ioredis rather than iovalkey, its fork: both speak to either server, and ioredis has
 * the releases.
 */

import { createRequire } from 'node:module';
import type { Redis } from 'ioredis';
import type { StoreSnapshot } from '../../../../config/snapshot/limit.ts';
import { CHARGE_SCRIPT, CHARGE_SHA } from './script.ts';

/** Pause before it connects again: a little longer each time, milliseconds. */
const RECONNECT_STEP_MS = 50;
const RECONNECT_MOST_MS = 2_000;
const CONNECT_TIMEOUT_MS = 2_000;
/** A connection that says nothing for so long, in timeouts, while it should is made anew. */
const SILENT_TIMEOUTS = 20;
const SILENT_LEAST_MS = 1_000;

/** What happens to it. Nothing is said of why: errors may name what the URL holds. */
export interface ConnectionEvents {
  onReady(): void;
  onLost(): void;
}

/** What the script answers. */
export type ChargeReply = readonly [by: number, waitMs: number];

export class StoreConnection {
  private readonly redis: Redis;

  constructor({ url, timeoutMs }: StoreSnapshot, events: ConnectionEvents) {
    const library = createRequire(import.meta.url)('ioredis') as typeof import('ioredis');
    this.redis = new library.Redis(url, {
      commandTimeout: timeoutMs,
      connectTimeout: CONNECT_TIMEOUT_MS,
      connectionName: 'lychgate',
      disableClientInfo: true,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      // An attempt whose fate is unknown may have been charged.
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      socketTimeout: Math.max(SILENT_LEAST_MS, timeoutMs * SILENT_TIMEOUTS),
      retryStrategy: (times) => Math.min(RECONNECT_MOST_MS, times * RECONNECT_STEP_MS),
    });
    this.redis.on('ready', events.onReady);
    this.redis.on('close', events.onLost);
    // Without a listener the library prints errors itself; each is followed by `close`.
    this.redis.on('error', () => {});
  }

  get isReady(): boolean {
    return this.redis.status === 'ready';
  }

  /** Charges `keys`; rejects when the store fails or is late. The script is sent only if the store does not know it. */
  async charge(keys: readonly string[], values: readonly (string | number)[]): Promise<ChargeReply> {
    try {
      return (await this.redis.evalsha(CHARGE_SHA, keys.length, ...keys, ...values)) as ChargeReply;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return (await this.redis.eval(CHARGE_SCRIPT, keys.length, ...keys, ...values)) as ChargeReply;
    }
  }

  /** Ends once what was asked is answered. */
  close(): void {
    if (this.isReady) this.redis.quit().catch(() => this.redis.disconnect());
    else this.redis.disconnect();
  }
}
