/**
 * A connection to Redis or Valkey (ioredis). It reconnects by itself, never queues what it cannot
 * send, and gives up on late answers. Only configurations with shared limits load the library. It
 * is ioredis, not its fork iovalkey: both talk to either server, and ioredis is the one with
 * releases.
 */

import { createRequire } from 'node:module';
import type { Redis } from 'ioredis';
import type { StoreSnapshot } from '../../../../config/snapshot/limit.ts';
import { CHARGE_SCRIPT, CHARGE_SHA } from './script.ts';

/** Step by which the pause before a reconnect grows, milliseconds. */
const RECONNECT_STEP_MS = 50;
const RECONNECT_MOST_MS = 2_000;
const CONNECT_TIMEOUT_MS = 2_000;
/** A connection that is silent for this many timeouts while answers are due is replaced. */
const SILENT_TIMEOUTS = 20;
const SILENT_LEAST_MS = 1_000;

/** What happens to the connection. Reasons are left out: errors may contain parts of the URL. */
export interface ConnectionEvents {
  onReady(): void;
  onLost(): void;
}

/** The script's answer. */
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
      // A request of unknown fate may have been charged.
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

  /**
   * Charges `keys`; rejects if the store fails or is late. The script itself is sent only if the
   * store does not know it.
   */
  async charge(keys: readonly string[], values: readonly (string | number)[]): Promise<ChargeReply> {
    try {
      return (await this.redis.evalsha(CHARGE_SHA, keys.length, ...keys, ...values)) as ChargeReply;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return (await this.redis.eval(CHARGE_SCRIPT, keys.length, ...keys, ...values)) as ChargeReply;
    }
  }

  /** Ends after the answers to all questions. */
  close(): void {
    if (this.isReady) this.redis.quit().catch(() => this.redis.disconnect());
    else this.redis.disconnect();
  }
}
