/**
 * Files that are watched: whoever asks is told which of them are not what they were, a moment after
 * the last change, so that files that belong together are there together.
 *
 * The kernel tells of changes in folders (inotify): in that of the file, where a rename puts
 * another in its place or `..data` is turned elsewhere (Kubernetes), in the one that a link leads
 * to (certbot), and in the one above, where a folder is replaced. Beside it a slow look at every
 * file finds what the kernel does not tell: changes on another machine, links of links, folders
 * that could not be watched.
 */

import { type FSWatcher, watch } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Logger } from '../../observe/log.ts';

export interface FileWatchOptions {
  readonly pollMs: number;
  /**
   * Paths, absolute, that changed, appeared or vanished; none at a look by the clock that found
   * nothing.
   */
  readonly onLook: (changed: ReadonlySet<string>) => void;
  readonly log: Logger;
}

export interface FileWatch {
  /**
   * Follows these paths, absolute, and no others. What they are now is what changes are held
   * against.
   */
  follow(paths: readonly string[]): Promise<void>;
  stop(): void;
}

/** Quiet after the last change before files are looked at, and the longest wait for it. */
const SETTLE_MS = 80;
const MAX_SETTLE_MS = 400;
/** So many files make the quiet longer by a millisecond: about what it takes to look at them. */
const FILES_A_MS = 50;
/** Files asked for at once. */
const AT_ONCE = 32;

/** A folder that the kernel watches. */
interface Folder {
  readonly watcher: FSWatcher;
  /** Which it was when the watch began: another of its name needs another watch. */
  readonly identity: string;
}

/** What is of interest in a folder: everything, or entries of these names. */
type Interest = 'all' | Set<string>;

export function createFileWatch({ pollMs, onLook, log }: FileWatchOptions): FileWatch {
  let stamps = new Map<string, string>();
  const folders = new Map<string, Folder>();
  let interests = new Map<string, Interest>();
  let settling: NodeJS.Timeout | undefined;
  let firstSignMs = 0;
  let isStopped = false;
  /** One look at a time. */
  let looking: Promise<void> = Promise.resolve();
  const told = new Set<string>();
  const clock = setInterval(() => look(), pollMs).unref();

  return {
    follow(paths) {
      looking = looking.then(async () => {
        const wanted = [...new Set(paths)];
        await arm(wanted);
        stamps = await stampAll(wanted);
      });
      return looking;
    },
    stop() {
      isStopped = true;
      clearInterval(clock);
      clearTimeout(settling);
      for (const { watcher } of folders.values()) watcher.close();
      folders.clear();
    },
  };

  /**
   * Something happened in a folder. The more files there are, the longer the quiet that is waited
   * for: a busy folder must not cost more than a part of a core.
   */
  function sign(): void {
    if (isStopped) return;
    const nowMs = performance.now();
    if (settling === undefined) firstSignMs = nowMs;
    else clearTimeout(settling);
    const quietMs = Math.min(MAX_SETTLE_MS, SETTLE_MS + stamps.size / FILES_A_MS);
    const waitMs = Math.max(0, Math.min(quietMs, firstSignMs + MAX_SETTLE_MS - nowMs));
    settling = setTimeout(() => {
      settling = undefined;
      look();
    }, waitMs).unref();
  }

  function look(): void {
    looking = looking.then(lookNow);
  }

  async function lookNow(): Promise<void> {
    if (isStopped) return;
    const paths = [...stamps.keys()];
    // Folders first: what changes afterwards is told.
    await arm(paths);
    const now = await stampAll(paths);
    const changed = new Set(paths.filter((path) => now.get(path) !== stamps.get(path)));
    // A link may lead elsewhere now.
    if (changed.size > 0) await arm(paths);
    stamps = now;
    if (!isStopped) onLook(changed);
  }

  /** Has the kernel watch the folders that matter for `paths`, and no others. */
  async function arm(paths: readonly string[]): Promise<void> {
    const next = new Map<string, Interest>();
    await inParts(paths, async (path) => {
      const folder = dirname(path);
      next.set(folder, 'all');
      const above = dirname(folder);
      const names = next.get(above) ?? new Set<string>();
      if (names !== 'all') next.set(above, names.add(basename(folder)));
      const target = await realpath(path).catch(() => path);
      next.set(dirname(target), 'all');
    });
    interests = next;
    for (const [path, { watcher }] of folders) {
      if (next.has(path)) continue;
      watcher.close();
      folders.delete(path);
    }
    await inParts([...next.keys()], armFolder);
  }

  async function armFolder(folder: string): Promise<void> {
    const identity = await identityOf(folder);
    const known = folders.get(folder);
    if (known?.identity === identity || isStopped) return;
    known?.watcher.close();
    folders.delete(folder);
    if (identity === '') return;
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        const interest = interests.get(folder);
        if (interest === 'all' || name === null || interest?.has(name) === true) sign();
      });
      watcher.on('error', (error) => {
        fault(folder, error);
        folders.delete(folder);
        watcher.close();
      });
      folders.set(folder, { watcher, identity });
    } catch (error) {
      fault(folder, error);
    }
  }

  /** Once for a folder: the look by the clock still finds what changes there. */
  function fault(folder: string, error: unknown): void {
    if (told.has(folder)) return;
    told.add(folder);
    log.warn({ err: error, folder, pollMs }, 'a folder of certificates cannot be watched; its files are looked at by the clock alone');
  }
}

async function identityOf(path: string): Promise<string> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return '';
  }
}

async function stampAll(paths: readonly string[]): Promise<Map<string, string>> {
  const stamps = new Map<string, string>();
  for (const path of paths) stamps.set(path, '');
  await inParts(paths, async (path) => void stamps.set(path, await stampOf(path)));
  return stamps;
}

/** The same of several files together. */
export async function stampsOf(paths: readonly string[]): Promise<string> {
  return (await Promise.all(paths.map(stampOf))).join(' ');
}

/**
 * What tells one state of a file from another: which file it is, when it was changed, how long it
 * is, who may read it. Empty where there is none.
 */
async function stampOf(path: string): Promise<string> {
  try {
    const { dev, ino, mtimeNs, ctimeNs, size } = await stat(path, { bigint: true });
    return `${dev}:${ino}:${mtimeNs}:${ctimeNs}:${size}`;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code !== 'ENOENT' ? String(error.code) : '';
  }
}

async function inParts<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let from = 0; from < items.length; from += AT_ONCE) await Promise.all(items.slice(from, from + AT_ONCE).map(work));
}
