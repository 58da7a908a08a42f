/**
 * Watches files by asking for their identity again and again: whatever puts another file there (a
 * rename, a symbolic link that points elsewhere, a directory that is replaced, a network file
 * system), the path names another one then. A file that is being written is left alone until it is
 * the same twice.
 */

import { stat } from 'node:fs/promises';

const WATCH_INTERVAL_MS = 1_000;

export interface Watch {
  stop(): void;
}

/**
 * Calls back when `identify` tells another identity than when it was called last; an empty one is
 * told while something is missing.
 */
export function watchIdentity(identify: () => Promise<string>, onChange: () => void, intervalMs = WATCH_INTERVAL_MS): Watch {
  let known: string | undefined;
  let seen: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  void look();
  return {
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };

  async function look(): Promise<void> {
    const now = await identify();
    if (isStopped) return;
    known ??= now;
    // While it is missing it is on its way.
    if (now !== '' && now !== known && now === seen) {
      known = now;
      onChange();
    }
    seen = now;
    timer = setTimeout(() => void look(), intervalMs);
    timer.unref();
  }
}

/** Of a file, or of what a link leads to: empty where there is no such file. */
export async function identityOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join();
  } catch {
    return '';
  }
}
