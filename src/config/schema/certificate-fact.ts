/** What rules may ask of a client's certificate. */

import type { TextRule } from './values.ts';

export const CERTIFICATE_FACTS = ['verdict', 'fingerprint', 'serial', 'subject', 'issuer', 'dns', 'uri', 'email', 'ip'] as const;

export type CertificateFact = (typeof CERTIFICATE_FACTS)[number];

export const CERTIFICATE_FACT_RULE: TextRule = {
  expected: `one of ${CERTIFICATE_FACTS.join(', ')}`,
  range: CERTIFICATE_FACTS.map((fact) => `\`${fact}\``).join(', '),
  normalise: (given) => (isCertificateFact(given) ? given : undefined),
};

export function isCertificateFact(text: string): text is CertificateFact {
  return (CERTIFICATE_FACTS as readonly string[]).includes(text);
}

/**
 * The spelling in which a fact is told: tools write digests with colons, and in capitals or not.
 */
export function factSpelling(fact: string, value: string): string {
  if (fact === 'fingerprint') return value.replaceAll(':', '').toLowerCase();
  if (fact === 'serial') return value.replaceAll(':', '').toUpperCase();
  return fact === 'dns' ? value.toLowerCase() : value;
}
