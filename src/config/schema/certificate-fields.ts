/**
 * `client_certificates.forward`: in which header fields backends are told of a client's
 * certificate.
 */

import type { z } from 'zod';
import { EDITED_NAME_RULE } from './fields.ts';
import { section } from './groups.ts';
import { choice, type TextRule, text } from './values.ts';

/** Fields that mean something of their own; those of RFC 9440 have a key of their own. */
const TAKEN_NAME =
  /^(?:client-cert(?:-chain)?|forwarded|x-forwarded-(?:for|host|proto|port)|x-request-id|cookie|set-cookie|(?:proxy-)?authorization|user-agent|date|expect)$/;

/** A field that nobody but the edge writes. */
const FORWARD_NAME_RULE: TextRule = {
  expected: 'the name of a header field that means nothing else, such as x-client-subject',
  range: 'field name',
  normalise: (given) => {
    const name = EDITED_NAME_RULE.normalise(given);
    return name === undefined || TAKEN_NAME.test(name.replace(/[^a-z0-9]/g, '-')) ? undefined : name;
  },
  explain: (given) =>
    TAKEN_NAME.test(given.toLowerCase().replace(/[^a-z0-9]/g, '-')) ? 'means something else already' : EDITED_NAME_RULE.explain?.(given),
};

const forwardField = (prose: string, example: string) => text(FORWARD_NAME_RULE, { prose, example, absent: '' });

/** What certificates tell, each in a field of its own. */
export const FORWARD_FACTS = ['verdict', 'fingerprint', 'serial', 'subject', 'issuer', 'names'] as const;

export const certificateFields = section(
  'In which header fields backends are told of the certificate. Nothing is told of a client that has none. What clients send under these names, and under `client-cert` and `client-cert-chain`, is removed on every listener, also in trailers and also where another character stands for a dash.',
  {
    rfc9440: choice(['off', 'certificate', 'chain'], {
      fallback: 'off',
      prose: '`certificate` sends `Client-Cert` (RFC 9440), `chain` sends `Client-Cert-Chain` too: what the client showed beside its own.',
    }),
    verdict: forwardField('`verified` or `unverified`.', 'x-client-verdict'),
    fingerprint: forwardField('SHA-256 of the certificate, 64 hex digits.', 'x-client-fingerprint'),
    serial: forwardField('Serial number, hex digits.', 'x-client-serial'),
    subject: forwardField('Name of its owner (RFC 4514).', 'x-client-subject'),
    issuer: forwardField('Name of who issued it.', 'x-client-issuer'),
    names: forwardField('Its alternative names: `"DNS:a.example.org", "URI:spiffe://a/b"` (a list of RFC 9651).', 'x-client-names'),
  },
);

export type CertificateFields = z.output<typeof certificateFields>;
