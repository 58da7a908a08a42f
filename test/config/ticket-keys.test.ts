import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { loadSnapshot } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { plainWith, writeConfiguration } from './support/configuration.ts';

const [small, large, other] = [Buffer.alloc(48, 1), Buffer.alloc(80, 2), Buffer.alloc(48, 3)];

/** Keys that a file gives, or what is said about it. */
async function keysOf(t: Test, content: string | Buffer, mode = 0o600): Promise<{ keys: Buffer[] | undefined; said: string[] }> {
  const file = writeConfiguration(
    t,
    plainWith('    certificates:', '    tls: { tickets: { keys_file: certs/tickets.keys } }\n    certificates:'),
  );
  const keysFile = join(dirname(file), 'certs/tickets.keys');
  writeFileSync(keysFile, content);
  chmodSync(keysFile, mode);
  const { snapshot, problems } = await loadSnapshot(file);
  return { keys: snapshot?.listeners[0]?.ticketKeys.map((key) => Buffer.from(key)), said: problems.map(formatProblem) };
}

t.test('keys of tickets are read in their order, a line each or one as it is', async (t) => {
  const lines = [small, large, other].map((key) => key.toString('base64')).join('\n');
  for (const text of [lines, `${lines}\n`, lines.replaceAll('\n', '\r\n\r\n')]) {
    t.same(await keysOf(t, text), { keys: [small, large, other], said: [] });
  }
  for (const key of [small, large]) t.same(await keysOf(t, key), { keys: [key], said: [] });
});

t.test('a file of keys that others may read, or that holds something else, is refused with its line', async (t) => {
  const said = async (content: string | Buffer, mode?: number): Promise<string> => {
    const { keys, said } = await keysOf(t, content, mode);
    t.equal(keys, undefined);
    return said.join('\n');
  };
  t.match(await said(small, 0o644), /edge\.yaml:5:\d+: error: listeners\[0\]\.tls\.tickets\.keys_file: the file can be read by every user/);
  t.match(await said(''), /the file holds no key; expected a key a line/);
  t.match(await said(Buffer.alloc(47)), /line 1 of the file is no key/);
  t.match(await said(`${small.toString('base64')}\nhello`), /line 2 of the file is no key/);
  t.match(await said(`${small.toString('base64')}\n${Buffer.alloc(64).toString('base64')}`), /line 2 of the file is no key/);
  t.match(await said(`${small.toString('base64')}\n${small.toString('base64')}`), /the same key twice/);
});
