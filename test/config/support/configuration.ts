/**
 * Configurations of tests: a folder with certificates and a file in it, and the problems a text
 * has, as people would read them.
 */

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type LoadedSnapshot, loadSnapshot } from '../../../src/config/load.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import type { Outside } from '../../../src/config/read/override.ts';
import { certificates } from '../../support/certificates.ts';

/** The configuration that everyone starts from. */
export const PLAIN = `version: 1
listeners:
  - name: public
    address: 127.0.0.1:8443
    certificates: [{ names: [localhost], chain: certs/dev.pem, key: certs/dev.key }]
admin: { address: 127.0.0.1:9901 }
upstreams:
  web:
    backends: [{ url: "h2c://127.0.0.1:9000", weight: 100 }, { url: "h2c://127.0.0.1:9001" }]
    balance: { policy: peak-ewma }
routes:
  - { match: { path: / }, upstream: web }
`;

/** Writes `edge.yaml` beside a folder `certs`; returns its path. */
export function writeConfiguration(t: Test, content: string | Buffer): string {
  const folder = t.testdir({ 'edge.yaml': content as string });
  cpSync(certificates().folder, join(folder, 'certs'), { recursive: true });
  return join(folder, 'edge.yaml');
}

/** Loads a text as a file would be. */
export function load(t: Test, content: string | Buffer, outside: Outside = {}): Promise<LoadedSnapshot> {
  return loadSnapshot(writeConfiguration(t, content), outside);
}

/** Problems of a text, a line each, without the folder. */
export async function problemsOf(t: Test, content: string | Buffer, outside: Outside = {}): Promise<string[]> {
  const { problems } = await load(t, content, outside);
  return problems.map((problem) => formatProblem(problem).replaceAll(`${t.testdirName}/`, ''));
}

/** PLAIN with one part exchanged; throws when the part is not there. */
export function plainWith(part: string, other: string): string {
  if (!PLAIN.includes(part)) throw new Error(`no ${part} in the plain configuration`);
  return PLAIN.replace(part, other);
}
