/** Files a configuration points at: read once, kept with their digest, paths relative to the folder of the configuration. */

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { explainReading } from './source.ts';

/** Certificates, keys and tokens are small; anything larger is the wrong file. */
const MAX_BYTES = 1 << 20;

/** A file's text, or why it cannot be had. */
export type Reading = { readonly text: string } | { readonly fault: string };

/** Reads files for one preparation. */
export class Files {
  readonly #baseDir: string;
  readonly #readings = new Map<string, Promise<Reading>>();
  readonly #digests = new Map<string, string>();

  constructor(baseDir: string) {
    this.#baseDir = baseDir;
  }

  /** Text of the file at `path`. Never rejects. */
  read(path: string): Promise<Reading> {
    const absolute = resolve(this.#baseDir, path);
    const known = this.#readings.get(absolute);
    if (known !== undefined) return known;
    const reading = this.#readNow(absolute);
    this.#readings.set(absolute, reading);
    return reading;
  }

  /** SHA-256 of every file read so far, hex, by absolute path. */
  digests(): Record<string, string> {
    return Object.fromEntries(this.#digests);
  }

  async #readNow(absolute: string): Promise<Reading> {
    try {
      const facts = await stat(absolute);
      if (!facts.isFile()) return { fault: `${absolute} is not a file` };
      if (facts.size > MAX_BYTES) return { fault: `${absolute} has ${facts.size} bytes, too many to be the right file` };
      const text = await readFile(absolute, 'utf8');
      this.#digests.set(absolute, createHash('sha256').update(text).digest('hex'));
      return { text };
    } catch (error) {
      return { fault: `${absolute}: ${explainReading(error)}` };
    }
  }
}
