/** Certificates of a test: the development script, run into a folder of the test's own. */

import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

/** A certificate and its key, of the test's CA. */
export interface Issued {
  readonly chainPath: string;
  readonly keyPath: string;
  readonly chain: string;
  readonly key: string;
}

/** Issues a certificate to a client, by the test's CA; files of `name` lie beside the others. */
export function issueClientCertificate(name: string): Issued {
  const { folder, caPath } = certificates();
  const at = (file: string): string => join(folder, `${name}.${file}`);
  const run = (...words: string[]): Buffer => execFileSync('openssl', words, { stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('key')];
  run('req', '-new', ...key, '-subj', `/CN=${name}`, '-out', at('csr'));
  writeFileSync(at('cnf'), 'basicConstraints = critical, CA:FALSE\nextendedKeyUsage = clientAuth\n');
  const by = [
    '-CA',
    caPath,
    '-CAkey',
    join(folder, 'ca.key'),
    '-set_serial',
    `0x${createHash('sha1').update(name).digest('hex').slice(1, 17)}`,
  ];
  run('x509', '-req', '-in', at('csr'), ...by, '-days', '30', '-sha256', '-extfile', at('cnf'), '-out', at('pem'));
  return {
    chainPath: at('pem'),
    keyPath: at('key'),
    chain: readFileSync(at('pem'), 'utf8'),
    key: readFileSync(at('key'), 'utf8'),
  };
}
