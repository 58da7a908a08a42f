/**
 * What the build needs is asked for as it will be used: a library of a like name, or a compiler
 * that cannot link, is missing.
 */

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { plainEnvironment } from '../support/process.ts';

const script = join(import.meta.dirname, '../../native/require.sh');

/** What the script finds missing, a package a line. */
function missing(env: Readonly<Record<string, string>> = {}): string[] {
  const { stdout, stderr } = spawnSync('sh', [script, '--check'], { env: plainEnvironment(env), encoding: 'utf8' });
  if (stderr !== '') throw new Error(stderr);
  return stdout.split('\n').filter((line) => line !== '');
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'lychgate-require-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('a machine that has built the addon misses nothing', async (t) => {
  t.same(missing(), []);
});

t.test('libclang-cpp beside no libclang is no libclang', async (t) => {
  const path = folder(t);
  for (const llvm of readdirSync('/usr/lib').filter((name) => name.startsWith('llvm-'))) {
    const lib = join('/usr/lib', llvm, 'lib');
    for (const name of readdirSync(lib).filter((name) => name.startsWith('libclang-cpp.so')))
      symlinkSync(join(lib, name), join(path, name));
  }
  writeFileSync(join(path, 'libclang.so.1'), 'not a library');
  t.same(missing({ LIBCLANG_PATH: path }), ['libclang-dev']);
});

for (const [name, wanted] of [
  ['cmake', 'cmake'],
  ['git', 'git'],
  ['make', 'make'],
  ['node', 'npm'],
  ['openssl', 'openssl'],
  ['patch', 'patch'],
] as const) {
  t.test(`${name} that is there and does not work is missing`, async (t) => {
    const path = folder(t);
    writeFileSync(join(path, name), '#!/bin/sh\n[ "$1" = --version ]\n');
    chmodSync(join(path, name), 0o755);
    t.same(missing({ PATH: `${path}:${process.env['PATH']}` }), [wanted]);
  });
}

t.test('a compiler that cannot link, and a Rust that is too old, are named', async (t) => {
  const path = folder(t);
  const program = (name: string, text: string) => {
    writeFileSync(join(path, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(path, name), 0o755);
  };
  program('c++', 'exit 1');
  program('rustc', 'echo "rustc 1.63.0 (4b91a6ea7 2022-08-08)"');
  t.same(missing({ PATH: `${path}:${process.env['PATH']}` }), ['g++', 'rust >= 1.88']);
});
