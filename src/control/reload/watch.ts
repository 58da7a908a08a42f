/**
 * Watches a file by asking for its identity again and again: whatever puts another file there (a
 * rename, a symbolic link that points elsewhere, a directory that is replaced, a network file
 * system), the path names another one then. A file that is being written is left alone until it is
 * the same twice.
 */

import { stat } from 'node:fs/promises';

export const WATCH_INTERVAL_MS = 1_000;

export interface Watch {
  stop(): void;
}

/**
 * Calls back when `path` names another file, or one with other contents, than when it was called
 * last.
 */
export function watchFile(path: string, onChange: () => void, intervalMs = WATCH_INTERVAL_MS): Watch {
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
    const now = await identityOf(path);
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

/** Empty where there is no such file. */
async function identityOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join();
  } catch {
    return '';
  }
}
