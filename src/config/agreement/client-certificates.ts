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

function checkMode({ mode, ca }: ClientCertificates, path: KeyPath, isMended: IsMended): Complaint[] {
  const isVerifying = mode === 'optional' || mode === 'required';
  const at = [...path, 'ca'];
  if (isMended(at) || isMended([...path, 'mode'])) return [];
  if (isVerifying && ca.length === 0)
    return [{ path: at, message: 'is missing', expected: `files of authorities, or mode: any instead of ${mode}` }];
  if (!isVerifying && ca.length > 0) return [meaningless(at, `with mode: ${mode}`, 'mode: optional or required')];
  return [];
}
