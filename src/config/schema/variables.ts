/** Variables that values of edits may hold: `${client_address}`, `${header:x-user}`. */

import { FIELD_NAME_RULE, FIELD_VALUE_RULE } from './fields.ts';
import type { TextRule } from './values.ts';

/** Names that stand alone; `header:NAME` comes beside them. */
const VARIABLES = [
  'client_address',
  'client_port',
  'scheme',
  'authority',
  'path',
  'method',
  'request_id',
  'forwarded_node',
  'remaining_ms',
  'remaining_grpc',
  'client_certificate_verdict',
  'client_certificate_fingerprint',
  'client_certificate_serial',
  'client_certificate_subject',
  'client_certificate_issuer',
  'client_certificate_names',
  'route',
  'upstream',
  'backend',
] as const;

const LIST = [...VARIABLES, 'header:NAME'].map((name) => `\${${name}}`).join(', ');

/** Value of a field with variables in it. */
export const EDIT_VALUE_RULE: TextRule = {
  expected: `printable ASCII, in which these may stand: ${LIST}`,
  range: 'text, variables',
  normalise: (given) => (FIELD_VALUE_RULE.normalise(given) === undefined || unknownIn(given) !== undefined ? undefined : given),
  explain: (given) => {
    const unknown = unknownIn(given);
    return unknown === undefined ? undefined : `has ${unknown}, which is no variable`;
  },
};

/** The first thing that looks like a variable and is none. */
function unknownIn(value: string): string | undefined {
  for (const [text, name = ''] of value.matchAll(/\$\{([^}]*)\}?/g)) {
    const field = /^header:(.+)$/.exec(name)?.[1];
    const isKnown = field === undefined ? VARIABLES.some((known) => known === name) : FIELD_NAME_RULE.normalise(field) !== undefined;
    if (!isKnown || !text.endsWith('}')) return text;
  }
  return undefined;
}
