/** Agreement of what clients must prove: what a mode needs, and one policy for a name. */

import type { Complaint, KeyPath } from '../problem.ts';
import type { ClientCertificates } from '../schema/client-certificates.ts';
import type { Listener } from '../schema/listener.ts';
import { checkForward } from './certificate-fields.ts';
import { type IsMended, meaningless, Seen } from './seen.ts';

export function checkClientAuth(listener: Listener, path: KeyPath, isMended: IsMended): Complaint[] {
  const { tls, client_certificates: named } = listener;
  const first = [...path, 'tls', 'client_certificates'];
  const complaints = [...checkMode(tls.client_certificates, first, isMended), ...checkForward(tls.client_certificates, first, isMended)];
  const names = new Seen('name', isMended);
  for (const [place, one] of named.entries()) {
    const at = [...path, 'client_certificates', place];
    complaints.push(...checkMode(one, at, isMended), ...checkForward(one, at, isMended));
    for (const [index, name] of one.names.entries()) {
      complaints.push(...names.note(name, [...at, 'names', index], `client_certificates[${place}]`));
    }
  }
  return complaints;
}

function checkMode(configured: ClientCertificates, path: KeyPath, isMended: IsMended): Complaint[] {
  const { mode, ca, crl, allow, deny, expired_crl: expired, missing_crl: missing } = configured;
  const isVerifying = mode === 'optional' || mode === 'required';
  const at = [...path, 'ca'];
  if (isMended(at) || isMended([...path, 'mode'])) return [];
  if (isVerifying && ca.length === 0)
    return [{ path: at, message: 'is missing', expected: `files of authorities, or mode: any instead of ${mode}` }];
  const complaints: Complaint[] = [];
  const useless = (key: string, without: string, expected: string): number =>
    complaints.push(meaningless([...path, key], without, expected));
  if (!isVerifying) {
    for (const [key, list] of Object.entries({ ca, crl, allow })) {
      if (list.length > 0) useless(key, `with mode: ${mode}`, 'mode: optional or required');
    }
  }
  if (mode === 'off' && deny.length > 0) useless('deny', 'with mode: off', 'another mode');
  if (crl.length === 0) {
    if (expired !== 'refuse') useless('expired_crl', 'without lists', 'crl');
    if (missing !== 'refuse') useless('missing_crl', 'without lists', 'crl');
  }
  for (const [place, { dns, uri, email, subject }] of allow.entries()) {
    if (`${dns}${uri}${email}${subject}` === '')
      complaints.push({ path: [...path, 'allow', place], message: 'allows nobody', expected: 'dns, uri, email or subject' });
  }
  return complaints;
}
