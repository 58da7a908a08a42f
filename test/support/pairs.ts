/**
 * Certificates and keys of tests that change them: made by openssl, and spoilt in every way that
 * files are spoilt.
 */

import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificates } from './certificates.ts';

/** Texts of a chain and its key. */
export interface Pair {
  readonly chain: string;
  readonly key: string;
  /** Hex, upper case, without leading zeros. */
  readonly serial: string;
}

/** A pair that signed itself; files of it are left in `folder`. */
export function makePair(folder: string, name = 'localhost'): Pair {
  const [chain, key] = [join(folder, 'made.pem'), join(folder, 'made.key')];
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', '/CN=made'];
  execFileSync('openssl', [...words, '-addext', `subjectAltName=DNS:${name}`, '-keyout', key, '-out', chain], { stdio: 'ignore' });
  return readPair(chain, key);
}

/**
 * A pair for localhost of the test's authority, so that a client that trusts it takes any of them.
 */
export function issuePair(folder: string): Pair {
  const { folder: authority, caPath } = certificates();
  const at = (end: string): string => join(folder, `issued.${end}`);
  const openssl = (...words: string[]): void => void execFileSync('openssl', words, { stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('key')];
  openssl('req', ...key, '-out', at('csr'), '-subj', '/CN=localhost');
  writeFileSync(at('ext'), 'subjectAltName=DNS:localhost');
  const by = ['-CA', caPath, '-CAkey', join(authority, 'ca.key'), '-days', '30', '-extfile', at('ext')];
  openssl('x509', '-req', '-in', at('csr'), ...by, '-out', at('pem'));
  return readPair(at('pem'), at('key'));
}

function readPair(chainPath: string, keyPath: string): Pair {
  const chain = readFileSync(chainPath, 'utf8');
  return { chain, key: readFileSync(keyPath, 'utf8'), serial: serialOf(chain) };
}

export function serialOf(chain: string): string {
  return new X509Certificate(chain).serialNumber.replace(/^0+/, '');
}

/** The same certificate as if it had run out in 2020; nobody gets as far as its signature. */
function expired({ chain, key, serial }: Pair): Pair {
  const der = Buffer.from(new X509Certificate(chain).raw);
  // Both are UTCTime: type 23, length 13.
  const first = der.indexOf(Buffer.from([23, 13]));
  const second = der.indexOf(Buffer.from([23, 13]), first + 15);
  der.write('190101000000Z', first + 2, 'latin1');
  der.write('200101000000Z', second + 2, 'latin1');
  const lines = der.toString('base64').replaceAll(/(.{64})/g, '$1\n');
  return { chain: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`, key, serial };
}

/** What is wrong with a pair, how it is made so, and what is said of it. */
export interface Broken {
  readonly what: string;
  /** Which of the two is to blame. */
  readonly file: 'chain' | 'key';
  readonly message: RegExp;
  make(pair: Pair, other: Pair): Pair;
}

export const BROKEN: readonly Broken[] = [
  { what: 'a chain that is none', file: 'chain', message: /holds no PEM certificate/, make: (pair) => ({ ...pair, chain: 'hello' }) },
  {
    what: 'a key of another certificate',
    file: 'key',
    message: /the key does not belong to the certificate/,
    make: (pair, other) => ({ ...pair, key: other.key }),
  },
  { what: 'a chain that ran out', file: 'chain', message: /expired on Jan {2}1 00:00:00 2020 GMT/, make: (pair) => expired(pair) },
  { what: 'half a chain', file: 'chain', message: /is cut off/, make: (pair) => ({ ...pair, chain: pair.chain.slice(0, 300) }) },
  { what: 'half a key', file: 'key', message: /is cut off/, make: (pair) => ({ ...pair, key: pair.key.slice(0, 100) }) },
  {
    what: 'a chain that does not link',
    file: 'chain',
    message: /was not issued by the one after it/,
    make: (pair, other) => ({ ...pair, chain: pair.chain + other.chain }),
  },
  { what: 'an empty key', file: 'key', message: /holds no PEM key/, make: (pair) => ({ ...pair, key: '' }) },
];
