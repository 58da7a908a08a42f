/**
 * The edge for those who embed it: what `lychgate run` is made of, so that a program of one's own
 * can start it, hear its events and drain it. Entered as `lychgate/edge`.
 */

export { redact } from './config/describe/redact.ts';
export { type LoadedSnapshot, loadSnapshot } from './config/load.ts';
export type { Outside } from './config/read/override.ts';
export type { Config } from './config/schema/config.ts';
export type { Snapshot } from './config/snapshot/snapshot.ts';
export type { Edge, EdgeOptions, EdgeParts } from './control/edge/edge.ts';
export { createEdge } from './control/edge/edge.ts';
export type { EdgeStatus } from './control/edge/status.ts';
export type { EdgeEvent } from './control/events.ts';
export { loadAddon } from './native/load.ts';
export type { Log } from './observe/log.ts';
export { createLog } from './observe/log.ts';
