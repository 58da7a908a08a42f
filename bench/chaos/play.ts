/**
 * Plays one scenario on one proxy: fresh backends, a fresh process, a steady load from before the
 * fault until after the healing.
 */

import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Backend, startBackends } from './backends.ts';
import { type Counters, grown, readCounters } from './counters.ts';
import { send } from './load.ts';
import { type Figures, measure } from './measure.ts';
import type { Overload, Peer, Running } from './peers/peer.ts';
import type { Scenario } from './scenarios.ts';
import { load, terms } from './terms.ts';

/** Where and how long. */
export interface Stage {
  /** Folder of the run. */
  readonly folder: string;
  readonly chainPath: string;
  readonly keyPath: string;
  readonly backendCount: number;
  readonly beforeSeconds: number;
  readonly faultSeconds: number;
  readonly afterSeconds: number;
}

/** A proxy before its backends. */
export interface Scene {
  readonly backends: readonly Backend[];
  readonly running: Running;
  readonly folder: string;
}

/** What differs between scenes. */
export interface Props {
  readonly key: string;
  /**
   * Bounds for the proxy, and what makes its backends as slow as these suppose before it sees the
   * first answer.
   */
  readonly overload?: { readonly bounds?: Overload; limit(backend: Backend): void };
  /** As it comes. */
  readonly isDefault?: boolean;
}

/** Sets up fresh backends and a fresh proxy, lets `act` do its part, and clears away. */
export async function withScene<Result>(
  peer: Peer,
  { key, overload, isDefault }: Props,
  stage: Stage,
  act: (scene: Scene) => Promise<Result>,
): Promise<Result> {
  // A folder a repetition: an old log would tell old ports.
  const folder = mkdtempSync(join(stage.folder, `${key}-${peer.name}-`));
  const backends = await startBackends(stage.backendCount);
  try {
    for (const backend of backends) overload?.limit(backend);
    const { chainPath, keyPath } = stage;
    const bounds = overload?.bounds;
    const setup = { folder, chainPath, keyPath, backends, ...(bounds && { overload: bounds }), ...(isDefault === true && { isDefault }) };
    const running = await peer.start(setup);
    try {
      return await act({ backends, running, folder });
    } finally {
      await running.stop();
    }
  } finally {
    for (const backend of backends) await backend.kill();
  }
}

/** The figures of a scenario and what the proxy says it did, where it is lychgate. */
export interface Played extends Figures {
  readonly counters: Counters;
}

/** One row of the table. */
export function play(scenario: Scenario, peer: Peer, stage: Stage): Promise<Played> {
  return withScene(peer, { key: scenario.key }, stage, async ({ backends, running, folder }) => {
    const { requestsPerSecond, connections, streams } = load;
    const order = { port: running.port, isHttp3: peer.isHttp3, folder, connections, streams };
    // Compilers and pools warm up on requests nobody counts.
    await send({ ...order, requestsPerSecond, seconds: 1.5, patienceMs: 2_000 });

    const seconds = stage.beforeSeconds + stage.faultSeconds + stage.afterSeconds;
    const result = send({ ...order, requestsPerSecond, seconds, patienceMs: terms.exchangeTimeoutMs + 1_000 });
    await sleep(stage.beforeSeconds * 1_000);
    const bad = backends[0];
    if (bad === undefined) throw new Error('no backend');
    const before = await readCounters(running.admin);
    const badMs = Date.now();
    const heal = await scenario.begin(bad);
    await sleep(stage.faultSeconds * 1_000);
    await heal();
    const healedMs = Date.now();
    await sleep(stage.afterSeconds * 1_000);
    const endMs = Date.now();
    const samples = await result;
    const figures = measure({ badMs, healedMs, endMs, arrivals: backends.map(({ arrivals }) => arrivals), load: samples });
    return { ...figures, counters: grown(before, await readCounters(running.admin)) };
  });
}
