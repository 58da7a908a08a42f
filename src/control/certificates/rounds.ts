/**
 * When files are looked at: what belongs together has one round at a time, when its files change
 * and when somebody asks.
 */

import type { CertificatesSnapshot } from '../../config/snapshot/listener.ts';
import type { Logger } from '../../observe/log.ts';
import { createFileWatch, type FileWatch } from './watch.ts';

export interface RoundsParts {
  /** What is looked at, for the log. */
  readonly subject: string;
  readonly options: CertificatesSnapshot;
  readonly log: Logger;
  /** Files, absolute, that are followed. */
  readonly paths: () => readonly string[];
  /** A round for files that changed; none of them at a look by the clock that found nothing. */
  readonly look: (changed: ReadonlySet<string>) => Promise<void>;
}

export class Rounds {
  /** No round that begins from now on does anything. */
  isStopped = false;

  private readonly parts: RoundsParts;
  private options: CertificatesSnapshot;
  private watch: FileWatch | undefined;
  private working: Promise<unknown> = Promise.resolve();

  constructor(parts: RoundsParts) {
    this.parts = parts;
    this.options = parts.options;
  }

  get isWatching(): boolean {
    return this.options.isWatched && !this.isStopped;
  }

  /** Does `work` when what came before is done. */
  after<T>(work: () => Promise<T>): Promise<T> {
    const { log, subject } = this.parts;
    const done = this.working.then(work);
    this.working = done.catch((error: unknown) => log.error({ err: error }, `${subject} could not be read`));
    return done;
  }

  /** The same for whoever does not wait for it. */
  begin(work: () => Promise<unknown>): void {
    void this.after(work).catch(() => {});
  }

  /** Follows what `paths` names now, where that is wanted. */
  async follow(): Promise<void> {
    if (!this.isWatching) return;
    const { log, look, paths } = this.parts;
    this.watch ??= createFileWatch({ pollMs: this.options.pollMs, log, onLook: (changed) => this.begin(() => look(changed)) });
    await this.watch.follow(paths());
  }

  /** Watches by other options; `follow` is the next step. */
  change(options: CertificatesSnapshot): void {
    if (options.isWatched !== this.options.isWatched || options.pollMs !== this.options.pollMs) {
      this.watch?.stop();
      this.watch = undefined;
    }
    this.options = options;
  }

  stop(): void {
    this.isStopped = true;
    this.watch?.stop();
  }
}
