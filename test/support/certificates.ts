/** Certificates of a test: the development script, run into a folder of the test's own. */

import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Paths and contents of a CA and a leaf for localhost, 127.0.0.1 and ::1. */
export interface Certificates {
  readonly folder: string;
  readonly caPath: string;
  readonly chainPath: string;
  readonly keyPath: string;
  readonly ca: string;
  readonly chain: string;
  readonly key: string;
  /** Base64 of the SHA-256 of the leaf's public key, as Chromium's exception list wants it. */
  readonly spki: string;
}

let made: Certificates | undefined;

/** The certificates of this process, made at the first call and removed when it ends. */
export function certificates(): Certificates {
  made ??= make();
  return made;
}

function make(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-certs-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  execFileSync(join(import.meta.dirname, '../../certs/make.sh'), [folder], { stdio: 'ignore' });
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const chain = read('dev.pem');
  const publicKey = new X509Certificate(chain).publicKey.export({ type: 'spki', format: 'der' });
  return {
    folder,
    caPath: join(folder, 'ca.pem'),
    chainPath: join(folder, 'dev.pem'),
    keyPath: join(folder, 'dev.key'),
    ca: read('ca.pem'),
    chain,
    key: read('dev.key'),
    spki: createHash('sha256').update(publicKey).digest('base64'),
  };
}
