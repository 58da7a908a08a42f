/** Secrets of a configuration: given in a key of their own or in a file, never shown. */

import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { Complaint, KeyPath } from '../problem.ts';
import type { Config } from '../schema/config.ts';
import { SECRET_RULE, TOKEN_RULE } from '../schema/rules.ts';
import { STORE_URL_RULE } from '../schema/store.ts';
import type { TextRule } from '../schema/values.ts';
import { checkPrivacy, type Files } from './files.ts';

export interface Secrets {
  readonly token: string;
  readonly storeUrl: string;
  /** 32 bytes that seal sticky cookies, by upstream. */
  readonly stickyKeys: ReadonlyMap<string, Uint8Array>;
}

/** Made once a process, so that a reload does not forget the cookies it sealed. */
const OWN_SECRET = randomBytes(32);

export async function readSecrets(config: Config, files: Files, complaints: Complaint[]): Promise<Secrets> {
  const { admin, store, upstreams } = config;
  const token = await readSecret(admin.token, admin.token_file, ['admin', 'token_file'], 'token', TOKEN_RULE, files, complaints);
  const storeUrl =
    store === undefined ? '' : await readSecret(store.url, store.url_file, ['store', 'url_file'], 'URL', STORE_URL_RULE, files, complaints);
  const stickyKeys = new Map<string, Uint8Array>();
  for (const [name, { balance }] of Object.entries(upstreams)) {
    const { sticky } = balance;
    if (sticky?.by !== 'cookie') continue;
    const path = ['upstreams', name, 'balance', 'sticky'];
    const secret = await readSecret(sticky.key, sticky.key_file, [...path, 'key_file'], 'secret', SECRET_RULE, files, complaints);
    if (sticky.key === '' && sticky.key_file === '') {
      const message = 'has no key: cookies are forgotten at a restart and unknown to other edges';
      complaints.push({ severity: 'warning', path, isAboutKey: true, message, expected: 'key_file or key' });
    }
    // A secret of any length becomes a key of 256 bits; without one each upstream has its own, so
    // that cookies cannot be exchanged.
    stickyKeys.set(
      name,
      new Uint8Array(secret === '' ? createHmac('sha256', OWN_SECRET).update(name).digest() : createHash('sha256').update(secret).digest()),
    );
  }
  return { token, storeUrl, stickyKeys };
}

/** The secret of a key or of its file; empty, with a complaint, when the file has none. */
async function readSecret(
  inline: string,
  file: string,
  path: KeyPath,
  what: string,
  rule: TextRule,
  files: Files,
  complaints: Complaint[],
): Promise<string> {
  if (file === '' || inline !== '') return inline;
  const read = await files.read(file);
  const given = 'text' in read ? rule.normalise(read.text.trim()) : undefined;
  if (given !== undefined) {
    complaints.push(...checkPrivacy(read, path));
    return given;
  }
  const message = 'fault' in read ? read.fault : `holds no usable ${what}`;
  complaints.push({ path, message, expected: rule.expected });
  return '';
}
