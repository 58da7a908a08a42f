/**
 * What the admin API is given to show and to change. Each route group takes the few of these it
 * needs; none of them knows the edge.
 */

import type { Log } from '../../observe/log.ts';
import type { Fault } from '../../shard/port.ts';
import type { Rotation } from '../certificates/rotation.ts';
import type { EdgeStatus } from '../edge/status.ts';
import type { Events } from '../events.ts';
import type { Reloader } from '../reload/reload.ts';
import type { LimitsView } from '../view/limits.ts';
import type { ConnectionView } from '../view/shards.ts';
import type { UpstreamView } from '../view/upstreams.ts';
import type { WeightControl } from '../weights.ts';

export interface AdminParts {
  readonly status: () => EdgeStatus;
  readonly upstreams: () => Promise<readonly UpstreamView[]>;
  /** The text of a scrape and its content type. */
  readonly metrics: () => Promise<{ text: string; contentType: string }>;
  /** At most `limit` from each shard. */
  readonly connections: (limit: number) => Promise<readonly ConnectionView[]>;
  /** The configuration in force, without secrets. */
  readonly config: () => unknown;
  readonly events: Pick<Events, 'subscribe' | 'upstreams'>;
  readonly weights: WeightControl;
  readonly limits: () => LimitsView;
  readonly certificates: Pick<Rotation, 'view' | 'reload'>;
  readonly log: Log;
  /** Reads the configuration again; undefined where it came from no file. */
  readonly reload: Reloader['reload'] | undefined;
  /** Hurts a worker; undefined outside of tests, and then the route does not exist. */
  readonly hurt: ((shard: number, fault: Fault, at: string) => boolean) | undefined;
}
