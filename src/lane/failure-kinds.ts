/**
 * Reasons by the words an operator has for failures of an attempt (`connect`, `refused`, `reset`, `timeout`), as retries ask for them. Breakers count the same, and
 * what comes after the response head besides (`standing/terms.ts`). Where the client is at fault there is nothing to ask for.
 */

import type { ReasonCode } from '../base/errors.ts';

const TLS = [
  'tls_failed',
  'tls_issuer_unknown',
  'tls_name_mismatch',
  'tls_certificate_expired',
  'tls_certificate_not_yet_valid',
  'tls_certificate_invalid',
  'tls_plain_text',
  'tls_not_agreed',
  'tls_alert',
  'tls_closed',
  'tls_pin_mismatch',
  'tls_certificate_required',
] as const satisfies readonly ReasonCode[];
export const CONNECT = [
  'connect_failed',
  'connect_timeout',
  ...TLS,
  'name_not_resolved',
  'sessions_exhausted',
] as const satisfies readonly ReasonCode[];
export const REFUSED = ['backend_refused', 'backend_goaway'] as const satisfies readonly ReasonCode[];
export const RESET = [
  'backend_reset',
  'backend_closed',
  'backend_protocol_error',
  'backend_head_too_large',
  // A fault of ours that ended the session: no mark against the backend, but the request may be sent again.
  'internal_error',
] as const satisfies readonly ReasonCode[];
export const TIMEOUT = ['head_timeout', 'attempt_timeout'] as const satisfies readonly ReasonCode[];
