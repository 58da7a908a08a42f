/** Certification authorities of tests: they issue certificates to clients, and revoke them. */

import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A client's certificate with its key. */
export interface ClientPair {
  readonly chain: string;
  readonly key: string;
  readonly serial: string;
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string;
}

export interface IssueOptions {
  /** As OpenSSL has it: `DNS:a.test,URI:spiffe://a/b`. */
  readonly names?: string;
  /** `YYMMDDHHMMSSZ`; valid from an hour ago for 30 days where they are left out. */
  readonly from?: string;
  readonly until?: string;
  /** Of `extendedKeyUsage`. */
  readonly usage?: string;
}

export interface ListOptions {
  readonly until?: string;
  readonly form?: 'PEM' | 'DER';
  readonly file?: string;
  /** Lines of OpenSSL's configuration. */
  readonly extensions?: string;
  /** `sha1`, say. */
  readonly digest?: string;
}

/** An authority with its files. */
export interface Authority {
  readonly ca: string;
  readonly key: string;
  issue(name: string, options?: IssueOptions): ClientPair;
  revoke(pair: ClientPair): void;
  /** Writes a list of what is revoked; `until` as of a certificate. */
  list(options?: ListOptions): string;
}

/** Time as OpenSSL has it, so many milliseconds from now. */
export function timeFromNow(ms: number): string {
  return `${new Date(Date.now() + ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`;
}

const HOUR_MS = 3_600_000;

function openssl(...words: string[]): void {
  execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

let made = 0;

/**
 * An authority called `name`, in a folder of its own below `folder`, with a key of OpenSSL's
 * `algorithm`.
 */
export function makeAuthority(
  folder: string,
  name: string,
  algorithm: readonly string[] = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
): Authority {
  const home = join(folder, `authority-${++made}`);
  const at = (file: string): string => join(home, file);
  mkdirSync(home, { recursive: true });
  writeFileSync(at('index.txt'), '');
  writeFileSync(at('crlnumber'), '01\n');
  // Numbers of one authority do not meet those of another of the same name.
  writeFileSync(at('serial'), `${createHash('sha1').update(home).digest('hex').slice(0, 14).replace(/^./, '5')}01\n`);
  const config = `[ca]
default_ca = own
[own]
database = ${at('index.txt')}
serial = ${at('serial')}
crlnumber = ${at('crlnumber')}
new_certs_dir = ${home}
certificate = ${at('ca.pem')}
private_key = ${at('ca.key')}
default_md = sha256
policy = any
unique_subject = no
default_days = 30
default_crl_days = 30
[any]
commonName = supplied
organizationName = optional
`;
  writeFileSync(at('ca.cnf'), config);
  const extensions = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  const subject = ['-subj', `/O=Example/CN=${name}`];
  openssl(
    'req',
    '-x509',
    '-newkey',
    ...algorithm,
    '-nodes',
    '-days',
    '30',
    ...subject,
    ...extensions,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
  );
  let count = 0;
  return {
    ca: at('ca.pem'),
    key: at('ca.key'),
    issue(subject, { names = '', from = timeFromNow(-HOUR_MS), until = timeFromNow(720 * HOUR_MS), usage = 'clientAuth' } = {}) {
      const file = `${++count}`;
      const [chain, key] = [at(`${file}.crt`), at(`${file}.key`)];
      openssl('req', '-new', ...CURVE, '-subj', `/O=Example/CN=${subject}`, '-keyout', key, '-out', at(`${file}.csr`));
      const lines = [
        'basicConstraints = critical, CA:FALSE',
        `extendedKeyUsage = ${usage}`,
        ...(names === '' ? [] : [`subjectAltName = ${names}`]),
      ];
      writeFileSync(at(`${file}.ext`), `${lines.join('\n')}\n`);
      const dates = ['-startdate', from, '-enddate', until];
      openssl(
        'ca',
        '-batch',
        '-notext',
        '-config',
        at('ca.cnf'),
        '-extfile',
        at(`${file}.ext`),
        ...dates,
        '-in',
        at(`${file}.csr`),
        '-out',
        chain,
      );
      const { serialNumber, fingerprint256 } = new X509Certificate(readFileSync(chain));
      return { chain, key, serial: serialNumber, fingerprint: fingerprint256.replaceAll(':', '').toLowerCase() };
    },
    revoke: ({ chain }) => openssl('ca', '-config', at('ca.cnf'), '-revoke', chain),
    list({ until = timeFromNow(240 * HOUR_MS), form = 'PEM', file = 'ca.crl', extensions = '', digest = 'sha256' } = {}) {
      const cnf = at('list.cnf');
      writeFileSync(cnf, `${config}[list]\n${extensions}\n`);
      const more = extensions === '' ? [] : ['-crlexts', 'list'];
      openssl('ca', '-config', cnf, '-gencrl', '-md', digest, ...more, '-crl_nextupdate', until, '-out', at('list.pem'));
      openssl('crl', '-in', at('list.pem'), '-outform', form, '-out', at(file));
      return at(file);
    },
  };
}
