/**
 * The cases of a run: what is asked, how often, in which unit its cost is told, and what it may
 * cost beside the peer.
 */

import { join } from 'node:path';
import { memoryBytes } from './cpu.ts';
import { type Load, load } from './load.ts';

/** A proxy that runs. */
export interface Running {
  readonly pid: number;
  readonly port: number;
}

/** One case. */
export interface Case {
  readonly key: string;
  readonly title: string;
  readonly unit: 'µs' | 'ms' | 'KiB';
  /** Most it may cost as a share of the peer's cost in the same run, or as an absolute figure. */
  readonly goal: { readonly ratio: number } | { readonly most: number };
  /** Measures once; null when a request failed, because then there is no figure. */
  measure(proxy: Running, size: Size): Promise<number | null>;
}

/** How much of everything. */
export interface Size {
  /** 1 is the full count of every case. */
  readonly scale: number;
  readonly idleConnections: number;
  readonly folder: string;
}

/** CPU of the proxy for each request of an h2load run. */
function perRequest(options: (count: number) => string[], path: string, fullCount: number, unitNs: number) {
  return async (proxy: Running, size: Size): Promise<number | null> => {
    const count = Math.max(8, Math.round(fullCount * size.scale));
    const run = await load(proxy, path, options(count));
    return isWhole(run, count) ? run.proxyNs / count / unitNs : null;
  };
}

function isWhole(run: Load, count: number): boolean {
  if (run.ok === count && run.failed === 0) return true;
  console.error(`  no figure: ${run.ok} of ${count} answered\n${run.text.split('\n').slice(-12).join('\n')}`);
  return false;
}

const get = (clients: number, streams: number) => (count: number) => [`-c${clients}`, `-m${streams}`, `-n${count}`];

const upload: Case = {
  key: 'upload',
  title: 'POST of 100 KiB, 4 connections × 8',
  unit: 'µs',
  goal: { ratio: 1.1 },
  measure: (proxy, size) =>
    perRequest((count) => [...get(4, 8)(count), `-d${join(size.folder, 'documents/100k')}`], '/1k', 3_000, 1_000)(proxy, size),
};

/**
 * Memory an idle connection adds: what the proxy has after all are up, less what it had before, by
 * their number.
 */
const idle: Case = {
  key: 'idle',
  title: 'memory of an idle connection',
  unit: 'KiB',
  goal: { most: 52 },
  measure: async (proxy, size) => {
    const connections = size.idleConnections;
    const before = memoryBytes(proxy.pid);
    let held = 0;
    // Everyone asks once on arrival and once again at the end, which shows that all were there in
    // between. Connections arrive at a pace the load's core can bear, or their handshakes would
    // time out.
    const arrivalMs = connections * 2;
    const quietMs = 5_000;
    const run = await load(
      proxy,
      '/1k',
      [
        `-c${connections}`,
        `-n${connections * 2}`,
        '-m1',
        '-r50',
        '--rate-period=100ms',
        `--rps=${(1_000 / (arrivalMs + quietMs + 3_000)).toFixed(5)}`,
      ],
      {
        afterMs: arrivalMs + quietMs,
        call: () => {
          held = memoryBytes(proxy.pid);
        },
      },
    );
    return isWhole(run, connections * 2) ? (held - before) / connections / 1_024 : null;
  },
};

/**
 * All cases in their order; idle memory first, because a heap grown by the others would hide it.
 */
export const cases: readonly Case[] = [
  idle,
  {
    key: 'get',
    title: 'GET 1 KiB, 4 connections × 32',
    unit: 'µs',
    goal: { ratio: 0.9 },
    measure: perRequest(get(4, 32), '/1k', 60_000, 1_000),
  },
  { key: 'get16', title: 'GET 1 KiB, 16 × 2', unit: 'µs', goal: { ratio: 0.9 }, measure: perRequest(get(16, 2), '/1k', 30_000, 1_000) },
  { key: 'get100', title: 'GET 1 KiB, 100 × 4', unit: 'µs', goal: { ratio: 0.9 }, measure: perRequest(get(100, 4), '/1k', 40_000, 1_000) },
  {
    key: 'sequential',
    title: 'GET 1 KiB, one at a time',
    unit: 'µs',
    goal: { ratio: 0.9 },
    measure: perRequest(get(1, 1), '/1k', 4_000, 1_000),
  },
  { key: 'large', title: 'GET 10 MiB, 2 × 2', unit: 'ms', goal: { ratio: 0.6 }, measure: perRequest(get(2, 2), '/10m', 40, 1_000_000) },
  upload,
  {
    key: 'handshake',
    title: 'new connection and one GET, P-256',
    unit: 'µs',
    goal: { ratio: 0.8 },
    measure: perRequest((count) => [`-c${count}`, `-n${count}`, '-m1', '-r30', '--rate-period=100ms'], '/1k', 1_500, 1_000),
  },
];
