/**
 * Where the configuration comes from: read when a reload asks, and followed where that is wanted.
 */

import type { LoadedSnapshot } from '../../config/load.ts';
import type { InUse } from '../../config/prepare.ts';
import { identityOfIncludes } from '../../config/read/include.ts';
import type { Config } from '../../config/schema/config.ts';
import { identityOf, type Watch, watchIdentity } from '../reload/watch.ts';

/** Where the configuration comes from. */
export interface EdgeSource {
  /** The one that the snapshot was made of. */
  readonly config: Config;
  /** The file, for `reload.watch`. */
  readonly file?: string;
  /** What the file includes, as `loadSnapshot` tells it, for `reload.watch`. */
  readonly includes?: readonly string[];
  /** Reads it again; a certificate that is worse than the one it would replace is a mistake. */
  load(inUse: InUse): Promise<Omit<LoadedSnapshot, 'files' | 'includes'> & Partial<LoadedSnapshot>>;
}

/** A source that may change; without one there is nothing to read. */
export class FollowedSource {
  private readonly source: EdgeSource | undefined;
  private readonly onChange: () => void;
  private includes: readonly string[];
  private watch: Watch | undefined;

  constructor(source: EdgeSource | undefined, onChange: () => void) {
    this.source = source;
    this.onChange = onChange;
    this.includes = source?.includes ?? [];
  }

  /**
   * What is included is known from then on, also where it has mistakes: whoever mends them need not
   * touch the file itself.
   */
  async read(inUse: InUse): ReturnType<EdgeSource['load']> {
    const read = (await this.source?.load(inUse)) ?? { problems: [] };
    this.includes = read.includes ?? [];
    return read;
  }

  /** Watches the file, or does so no more. */
  follow(isWatched: boolean): void {
    const file = this.source?.file;
    if (isWatched === (this.watch !== undefined) || file === undefined) return;
    this.stop();
    if (isWatched) this.watch = watchIdentity(() => this.identify(file), this.onChange);
  }

  stop(): void {
    this.watch?.stop();
    this.watch = undefined;
  }

  private async identify(file: string): Promise<string> {
    const [own, included] = await Promise.all([identityOf(file), identityOfIncludes(this.includes, identityOf)]);
    return own === '' || included === '' ? '' : `${own} ${included}`;
  }
}
