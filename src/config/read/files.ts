/**
 * Files a configuration points at: read once, kept with their digest, paths relative to the folder
 * of the configuration.
 */

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Complaint, KeyPath } from '../problem.ts';
import { explainReading } from './source.ts';

/** Certificates, keys and tokens are small; anything larger is the wrong file. */
const MAX_BYTES = 1 << 20;
/** Revocation lists may be long: a million entries take some 36 MiB. */
export const MAX_LIST_BYTES = 64 << 20;
/** S_IROTH. */
const READ_BY_OTHERS = 0o004;

/**
 * A file's text, its bytes, and whether every user of the machine may read it, or why it cannot be
 * had.
 */
export type Reading = { readonly text: string; readonly bytes: Uint8Array; readonly isOpenToAll: boolean } | { readonly fault: string };

/** Of a file that holds a secret: what is wrong with its permissions, if anything. */
export function checkPrivacy(reading: Reading, path: KeyPath): Complaint[] {
  if (!('text' in reading) || !reading.isOpenToAll) return [];
  return [{ severity: 'warning', path, message: 'the file can be read by every user of the machine', expected: 'chmod o-r' }];
}

/** Reads files for one preparation. */
export class Files {
  readonly #baseDir: string;
  readonly #readings = new Map<string, Promise<Reading>>();
  readonly #digests = new Map<string, string>();

  constructor(baseDir: string) {
    this.#baseDir = baseDir;
  }

  /** Where the file at `path` is. */
  absolute(path: string): string {
    return resolve(this.#baseDir, path);
  }

  /** Text of the file at `path`. Never rejects. */
  read(path: string, maxBytes = MAX_BYTES): Promise<Reading> {
    const absolute = this.absolute(path);
    const known = this.#readings.get(absolute);
    if (known !== undefined) return known;
    const reading = this.#readNow(absolute, maxBytes);
    this.#readings.set(absolute, reading);
    return reading;
  }

  /** SHA-256 of every file read so far, hex, by absolute path. */
  digests(): Record<string, string> {
    return Object.fromEntries(this.#digests);
  }

  async #readNow(absolute: string, maxBytes: number): Promise<Reading> {
    try {
      const facts = await stat(absolute);
      if (!facts.isFile()) return { fault: `${absolute} is not a file` };
      if (facts.size > maxBytes) return { fault: `${absolute} has ${facts.size} bytes, too many to be the right file` };
      const bytes = await readFile(absolute);
      this.#digests.set(absolute, createHash('sha256').update(bytes).digest('hex'));
      return { text: bytes.toString('utf8'), bytes: new Uint8Array(bytes), isOpenToAll: (facts.mode & READ_BY_OTHERS) !== 0 };
    } catch (error) {
      return { fault: `${absolute}: ${explainReading(error)}` };
    }
  }
}
