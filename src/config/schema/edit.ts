/** Edits of a route: `rewrite`, `request_headers`, `response_headers`. */

import type { z } from 'zod';
import { pathKeys } from './answer.ts';
import { EDITED_NAME_RULE, REMOVED_NAME_RULE } from './fields.ts';
import { named, optional, section, words } from './groups.ts';
import { looseText, text } from './values.ts';
import { EDIT_VALUE_RULE } from './variables.ts';

export const rewrite = optional('The path the backend sees: a prefix stripped or replaced, or a pattern replaced.', pathKeys);

const values = (prose: string, example: string, name: string) =>
  named(prose, EDITED_NAME_RULE, looseText(EDIT_VALUE_RULE, { prose: 'Value, with variables.', example }), name);

const fields = (prose: string) =>
  section(prose, {
    remove: words(
      'Fields that are removed.',
      text(REMOVED_NAME_RULE, { prose: 'Name, in which `*` stands for any text.', example: 'x-internal-*' }),
      { example: ['x-internal-*'] },
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
