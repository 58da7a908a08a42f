/**
 * Keys of session tickets that several instances share: a file with a key a line in base64, or one
 * key as it is, which is nginx's form. The first seals, all open, so that a new key is first put
 * behind the others everywhere and then in front.
 */

import type { Complaint, KeyPath } from '../problem.ts';
import type { Files } from '../read/files.ts';

/** Name and keys for AES-128 and HMAC, or for AES-256 and HMAC. */
const LENGTHS = new Set([48, 80]);

const EXPECTED = 'a key a line, each 48 or 80 bytes in base64 (openssl rand -base64 -A 80), or one as it is';

/** Keys of the file at `file`; none where that is empty or the file is not good. */
export async function readTicketKeys(file: string, path: KeyPath, files: Files, complaints: Complaint[]): Promise<Uint8Array[]> {
  if (file === '') return [];
  const read = await files.read(file);
  const complain = (message: string, expected?: string): never[] => {
    complaints.push({ path, message, ...(expected === undefined ? {} : { expected }) });
    return [];
  };
  if ('fault' in read) return complain(read.fault);
  // Who has a key can open every ticket that it sealed.
  if (read.isOpenToAll) return complain('the file can be read by every user of the machine', 'chmod o-r');
  if (LENGTHS.has(read.bytes.length)) return [read.bytes];
  const lines = read.text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length === 0) return complain('the file holds no key', EXPECTED);
  const keys = lines.map((line) => Buffer.from(line.trim(), 'base64'));
  const wrong = keys.findIndex((key, place) => !LENGTHS.has(key.length) || key.toString('base64') !== lines[place]?.trim());
  if (wrong !== -1) return complain(`line ${wrong + 1} of the file is no key`, EXPECTED);
  const names = new Set(keys.map((key) => key.toString('latin1', 0, 16)));
  if (names.size < keys.length) return complain('the file holds the same key twice', 'keys whose first 16 bytes differ');
  return keys.map((key) => new Uint8Array(key));
}
