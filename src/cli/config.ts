/**
 * `lychgate config …`: what can be configured, in the forms people and tools want it in. All of it
 * is made from the schema.
 */

import { exampleFile, jsonSchema, overrideTable, referencePage } from '../config/describe/reference.ts';

/** The forms, by the word that asks for them. */
export const CONFIG_VIEWS = {
  schema: { title: 'JSON schema of the file, for editors', print: jsonSchema },
  defaults: { title: 'A file with every key and its default', print: exampleFile },
  env: { title: 'Environment variables and flags of keys', print: () => `${overrideTable()}\n` },
  docs: { title: 'The reference page, Markdown', print: referencePage },
} as const;

/** Where `make certs` puts them, for a file in the folder above. */
export const DEFAULT_CERTIFICATES = 'certs';

/** Prints one of the forms to stdout; `certificates` is the folder that an example names. */
export function printConfigView(view: keyof typeof CONFIG_VIEWS, certificates: string = DEFAULT_CERTIFICATES): void {
  process.stdout.write(CONFIG_VIEWS[view].print(certificates));
}
