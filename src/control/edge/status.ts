/** Where the edge is in its life, as the admin API and those who embed it see it. */

import type { ListenerView } from '../listen/endpoint.ts';
import type { ReloadStatus } from '../reload/reload.ts';
import type { ShardStatus } from '../shards/shards.ts';

/** Where the edge is in its life. Ready for traffic only while `serving`. */
export type EdgeState = 'idle' | 'starting' | 'serving' | 'draining' | 'stopping' | 'stopped';

export interface EdgeStatus {
  readonly state: EdgeState;
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  /** Hash of the configuration in force. */
  readonly generation: string;
  /** What became of the last reloads; null where the configuration came from no file. */
  readonly reload: ReloadStatus | null;
  readonly listeners: readonly ListenerView[];
  /** Where the admin API itself listens; empty while it does not. */
  readonly adminAddress: string;
  /** Where the probes have an address of their own; empty where they have none. */
  readonly probesAddress: string;
  readonly exchanges: number;
  readonly connections: number;
  readonly shards: readonly ShardStatus[];
}
