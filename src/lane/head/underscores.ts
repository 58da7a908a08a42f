/**
 * Field names with an underscore. CGI, WSGI and the like read `x_real_ip` as X-Real-IP, so a client
 * that may not send one could send the other. The reactor flags heads that have such a name; only
 * then are the names checked.
 */

import { noteNumber } from '../../base/notes.ts';
import type { ClaimsSnapshot } from '../../config/snapshot/process.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Observer } from '../observer.ts';
import { latin1 } from './fields.ts';

const DROPPED = noteNumber('underscore_dropped');
const REFUSED = noteNumber('underscore_refused');
const MET = noteNumber('underscore_met');

/** Names reported per shard; a client can make up more. */
const MAX_TOLD = 64;

const UNDERSCORE = 0x5f;

export class Underscores {
  readonly isRefusing: boolean;
  private readonly spared: ReadonlySet<string>;
  private readonly told = new Set<string>();
  private readonly bytes: Uint8Array;
  private readonly observer: Observer;

  /** Undefined if all names are allowed. */
  static of({ underscores, underscoreNames }: ClaimsSnapshot, bytes: Uint8Array, observer: Observer): Underscores | undefined {
    return underscores === 'pass' ? undefined : new Underscores(underscores === 'refuse', underscoreNames, bytes, observer);
  }

  private constructor(isRefusing: boolean, spared: readonly string[], bytes: Uint8Array, observer: Observer) {
    this.isRefusing = isRefusing;
    this.spared = new Set(spared);
    this.bytes = bytes;
    this.observer = observer;
  }

  /** Whether `head` has a name that is not allowed. Each is counted; each name is reported once. */
  isIn(head: HeadReader): boolean {
    const { bytes, observer } = this;
    let isFound = false;
    let byte = head.fieldsByte;
    for (let number = 0; number < head.fieldCount; number++) {
      const lengths = head.fieldLengths(number);
      const length = lengths & 0xffff;
      if (hasUnderscore(bytes, byte, length)) {
        const name = latin1(bytes, byte, length);
        if (!this.spared.has(name)) {
          isFound = true;
          observer.noted(this.isRefusing ? REFUSED : DROPPED, -1, -1, 0);
          this.tell(name);
        }
      }
      byte += length + (lengths >>> 16);
    }
    return isFound;
  }

  private tell(name: string): void {
    if (this.told.has(name) || this.told.size === MAX_TOLD) return;
    this.told.add(name);
    this.observer.noted(MET, -1, -1, 0, name);
  }
}

function hasUnderscore(bytes: Uint8Array, start: number, length: number): boolean {
  for (let i = start; i < start + length; i++) if (bytes[i] === UNDERSCORE) return true;
  return false;
}
