/**
 * What a process tree costs: CPU over all threads from the scheduler's own books, and memory by its
 * fair share. Linux's /proc.
 */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

/** A process and everything it has started, by their ids. */
export function processTree(root: number): Set<number> {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // The name in brackets may hold anything; the fields begin after the last one.
    const stat = tryRead(`/proc/${entry}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[1] !== undefined) parents.set(Number(entry), Number(fields[1]));
  }
  const tree = new Set([root]);
  for (let size = 0; size !== tree.size; ) {
    size = tree.size;
    for (const [pid, parent] of parents) if (tree.has(parent)) tree.add(pid);
  }
  return tree;
}

/**
 * Nanoseconds of CPU used so far by all living threads of a process tree (first number of
 * schedstat).
 */
export function cpuNs(root: number): number {
  let total = 0;
  for (const pid of processTree(root)) {
    for (const thread of tryList(`/proc/${pid}/task`)) {
      total += Number(tryRead(`/proc/${pid}/task/${thread}/schedstat`).split(' ', 1)[0] ?? 0);
    }
  }
  return total;
}

/** Bytes of memory of a process tree, shared pages counted by share (PSS). */
export function memoryBytes(root: number): number {
  let total = 0;
  for (const pid of processTree(root)) {
    total += Number(/^Pss:\s+(\d+) kB/m.exec(tryRead(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
  }
  return total;
}

/**
 * Milliseconds of CPU that a fixed piece of work takes now: how fast the machine is while it
 * measures.
 */
export function spinMs(): number {
  const data = Buffer.alloc(1 << 20);
  const before = process.cpuUsage();
  for (let turn = 0; turn < 100; turn += 1) createHash('sha256').update(data).digest();
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1000;
}

function tryRead(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It ended while we were looking.
    return '';
  }
}

function tryList(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
