/**
 * How the watch of files sees what tools do to them: each change is made as the tool makes it, in a
 * real folder.
 */

import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createFileWatch } from '../../src/control/certificates/watch.ts';
import { createLog } from '../../src/observe/log.ts';
import { until } from '../support/wait.ts';

const log = createLog({ level: 'silent', isText: false, stream: { write() {} } }).target('certificates');

/** Follows files; `sees` waits until one of them is told of, and forgets it. */
async function follow(t: Test, paths: readonly string[], pollMs = 3_600_000) {
  const seen = new Set<string>();
  let looks = 0;
  const watch = createFileWatch({
    pollMs,
    log,
    onLook(changed) {
      looks += 1;
      for (const path of changed) seen.add(path);
    },
  });
  t.teardown(() => watch.stop());
  await watch.follow(paths);
  return {
    watch,
    seen,
    looks: () => looks,
    async sees(path: string, what: string) {
      await until(what, () => seen.delete(path));
      t.pass(what);
    },
  };
}

t.test('a file that is written in place, renamed over, removed and made again is told of each time', async (t) => {
  const folder = t.testdir({ 'a.pem': 'one', 'b.pem': 'one' });
  const [a, b] = [join(folder, 'a.pem'), join(folder, 'b.pem')];
  const { sees, seen } = await follow(t, [a, b]);
  writeFileSync(a, 'two');
  await sees(a, 'written in place');
  writeFileSync(join(folder, 'new'), 'two');
  renameSync(join(folder, 'new'), a);
  await sees(a, 'renamed over');
  rmSync(a);
  await sees(a, 'removed');
  writeFileSync(a, 'two');
  await sees(a, 'made again');
  t.notOk(seen.has(b), 'the other is not');
});

t.test('..data that is turned elsewhere, as Kubernetes does it, is told of for both files', async (t) => {
  const folder = t.testdir();
  const turn = (version: string): void => {
    mkdirSync(join(folder, `..${version}`));
    for (const name of ['tls.crt', 'tls.key']) writeFileSync(join(folder, `..${version}`, name), version);
    symlinkSync(`..${version}`, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  };
  turn('2026_01');
  for (const name of ['tls.crt', 'tls.key']) symlinkSync(`..data/${name}`, join(folder, name));
  const [chain, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const { sees } = await follow(t, [chain, key]);
  for (const version of ['2026_02', '2026_03']) {
    turn(version);
    await sees(chain, `chain of ${version}`);
    await sees(key, `key of ${version}`);
  }
  rmSync(join(folder, '..2026_02'), { recursive: true });
});

t.test('a link that is made anew, as certbot does it, and what it leads to are told of', async (t) => {
  const folder = t.testdir({ archive: { 'cert1.pem': 'one', 'cert2.pem': 'two' }, live: {} });
  const link = join(folder, 'live/cert.pem');
  symlinkSync('../archive/cert1.pem', link);
  const { sees } = await follow(t, [link]);
  rmSync(link);
  symlinkSync('../archive/cert2.pem', link);
  await sees(link, 'the link leads elsewhere');
  writeFileSync(join(folder, 'archive/cert2.pem'), 'again');
  await sees(link, 'what it leads to was written');
});

t.test('a folder that is replaced is told of, and what changes in the new one', async (t) => {
  const folder = t.testdir({ tls: { 'a.pem': 'one' } });
  const a = join(folder, 'tls/a.pem');
  const { sees } = await follow(t, [a]);
  mkdirSync(join(folder, 'next'));
  writeFileSync(join(folder, 'next/a.pem'), 'two');
  renameSync(join(folder, 'tls'), join(folder, 'old'));
  renameSync(join(folder, 'next'), join(folder, 'tls'));
  await sees(a, 'the folder is another');
  writeFileSync(a, 'three');
  await sees(a, 'written in the new folder');
  rmSync(join(folder, 'tls'), { recursive: true });
  await sees(a, 'the folder is gone');
  mkdirSync(join(folder, 'tls'));
  writeFileSync(a, 'four');
  await sees(a, 'it is back');
});

t.test('what the kernel tells nobody is found by the clock', async (t) => {
  // A link of a link: the folder in the middle is not watched.
  const folder = t.testdir({ one: { 'a.pem': 'one' }, two: { 'a.pem': 'two' }, middle: {}, top: {} });
  symlinkSync('../one', join(folder, 'middle/now'));
  symlinkSync('../middle/now/a.pem', join(folder, 'top/a.pem'));
  const a = join(folder, 'top/a.pem');
  const { sees, looks } = await follow(t, [a], 50);
  symlinkSync('../two', join(folder, 'middle/next'));
  renameSync(join(folder, 'middle/next'), join(folder, 'middle/now'));
  await sees(a, 'found');
  const before = looks();
  await until('it goes on looking', () => looks() > before);
});

t.test('files are told of together when they are changed one after the other, and no more after a stop', async (t) => {
  const folder = t.testdir({ 'a.pem': 'one', 'a.key': 'one' });
  const [chain, key] = [join(folder, 'a.pem'), join(folder, 'a.key')];
  const { watch, seen, sees } = await follow(t, [chain, key]);
  writeFileSync(chain, 'two');
  writeFileSync(key, 'two');
  await until('either is seen', () => seen.size > 0);
  t.same([...seen].sort(), [key, chain].sort());
  seen.clear();
  // The same time and length, but another moment of change.
  utimesSync(chain, 1, 1);
  await sees(chain, 'its times changed');
  watch.stop();
  writeFileSync(chain, 'three');
  await watch.follow([chain]);
  t.equal(seen.size, 0);
});
