/** Agreement of the fields in which backends are told of a client's certificate. */

import type { Complaint, KeyPath } from '../problem.ts';
import { FORWARD_FACTS } from '../schema/certificate-fields.ts';
import type { ClientCertificates } from '../schema/client-certificates.ts';
import { type IsMended, meaningless, Seen } from './seen.ts';

/** Whoever reads a field believes it: what nobody verified does not go without the verdict. */
export function checkForward({ mode, forward }: ClientCertificates, path: KeyPath, isMended: IsMended): Complaint[] {
  const at = [...path, 'forward'];
  if (isMended([...path, 'mode'])) return [];
  const told = FORWARD_FACTS.filter((fact) => forward[fact] !== '');
  const names = new Seen('field', isMended);
  const complaints = told.flatMap((fact) => names.note(forward[fact], [...at, fact], `forward.${fact}`));
  const first = forward.rfc9440 === 'off' ? told[0] : 'rfc9440';
  if (mode === 'off' && first !== undefined)
    return [...complaints, meaningless([...at, first], 'with mode: off', 'mode: optional, required or any')];
  const needing = forward.rfc9440 === 'off' ? told.find((fact) => fact !== 'verdict' && fact !== 'fingerprint') : 'rfc9440';
  if (mode === 'any' && needing !== undefined && forward.verdict === '' && !isMended([...at, 'verdict'])) {
    complaints.push({
      path: [...at, needing],
      message: 'passes on what nobody verified, and backends are not told so',
      expected: 'forward.verdict beside it, or only forward.fingerprint, or mode: optional or required',
    });
  }
  return complaints;
}
