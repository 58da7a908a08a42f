/** Fields of a snapshot in which backends are told of a client's certificate. */

import { type CertificateFields, FORWARD_FACTS } from '../schema/certificate-fields.ts';
import type { ForwardFieldSnapshot } from '../snapshot/listener.ts';

/** Fields for backends, those of RFC 9440 first. */
export function forwardFields(forward: CertificateFields): ForwardFieldSnapshot[] {
  const { rfc9440 } = forward;
  return [
    ...(rfc9440 === 'off' ? [] : [{ name: 'client-cert', fact: 'certificate' } as const]),
    ...(rfc9440 === 'chain' ? [{ name: 'client-cert-chain', fact: 'chain' } as const] : []),
    ...FORWARD_FACTS.filter((fact) => forward[fact] !== '').map((fact) => ({ name: forward[fact], fact })),
  ];
}
