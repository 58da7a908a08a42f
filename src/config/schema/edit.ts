/** Edits of a route: `rewrite`, `request_headers`, `response_headers`. */

import type { z } from 'zod';
import { pathKeys } from './answer.ts';
import { EDITED_NAME_RULE, REMOVED_NAME_RULE } from './fields.ts';
import { mapping, named, optional, orShort, section, someOrOne } from './groups.ts';
import { NAME_PATTERN_RULE } from './pattern.ts';
import { looseText, textOrNothing } from './values.ts';
import { EDIT_VALUE_RULE } from './variables.ts';

export const rewrite = optional('The path the backend sees: a prefix stripped or replaced, or a pattern replaced.', pathKeys);

const values = (prose: string, example: string, name: string) =>
  named(prose, EDITED_NAME_RULE, looseText(EDIT_VALUE_RULE, { prose: 'Value, with variables.', example }), name);

const removed = orShort(
  mapping('Exactly one of the two; text alone is `name`.', {
    name: textOrNothing(REMOVED_NAME_RULE, { prose: 'Name, in which `*` stands for any text.', example: 'x-internal-*' }),
    regex: textOrNothing(NAME_PATTERN_RULE, {
      prose: 'Pattern that takes the whole name, in any case of its letters. It is held against every field; 16 a list at most.',
      example: 'x-(internal|debug)-.*',
    }),
  }),
  {
    expected: REMOVED_NAME_RULE.expected,
    json: { type: 'string' },
    expand: (given) => ({ name: given }),
  },
);

/** Patterns that one list may have. */
export const MAX_NAME_PATTERNS = 16;

const fields = (prose: string) =>
  section(prose, {
    remove: someOrOne(
      'Fields that are removed. What frames a message or belongs to one connection stays whatever a glob or a pattern takes.',
      removed,
    ),
    set: values('Fields that stand once, whatever was there. An empty value writes none.', '${client_address}', 'x-real-ip'),
    add: values('Fields added beside what is there.', '${route}', 'x-route'),
    append: values('Values added to the list in a field, after a comma.', 'lychgate', 'x-via'),
  });

export const requestHeaders = fields(
  "Header fields the backend sees: removed, then set, added and appended. Variables are those of the client's request. Names that are removed or set go from its trailers too.",
);

export const responseHeaders = fields('Header fields the client sees, in the same way; of answers of the route too.');

export type FieldEdits = z.output<typeof requestHeaders>;
