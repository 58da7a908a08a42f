/**
 * Builds the addon with cargo and puts it where `src/native/load.ts` looks:
 * `native/lychgate.<platform>.node`, the name by which prebuilt platform packages would carry it.
 *
 *   node native/build.mjs [--profile release|ci] [--if-missing]
 *
 * Cargo's own change detection decides what is rebuilt. `CARGO_TARGET_DIR` moves the build out of
 * the tree.
 */

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, renameSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { patchQuiche } from './patch.mjs';

const { values } = parseArgs({
  options: { profile: { type: 'string', default: process.env['PROFILE'] || 'release' }, 'if-missing': { type: 'boolean', default: false } },
});

const folder = import.meta.dirname;
const isMusl = process.report.getReport().header.glibcVersionRuntime === undefined;
const platform = `${process.platform}-${process.arch}-${isMusl ? 'musl' : 'gnu'}`;
const addon = join(folder, `lychgate.${platform}.node`);

if (!(values['if-missing'] && existsSync(addon))) build();

function build() {
  const target = process.env['CARGO_TARGET_DIR'] || join(folder, 'target');
  const began = performance.now();
  patchQuiche();
  console.error(`native: cargo build, profile ${values.profile}`);
  const cargo = spawnSync('cargo', ['build', '--workspace', '--locked', '--profile', values.profile, '--target-dir', target], {
    cwd: folder,
    stdio: 'inherit',
    env: { ...process.env, CARGO_TARGET_DIR: target, PATH: `${process.env['PATH']}${delimiter}${process.env['HOME']}/.cargo/bin` },
  });
  if (cargo.error) throw cargo.error;
  if (cargo.status !== 0) process.exit(cargo.status ?? 1);

  // A rename, so that a process which has the old file mapped keeps it whole.
  const fresh = `${addon}.${process.pid}`;
  copyFileSync(join(target, values.profile, 'liblychgate_binding.so'), fresh);
  renameSync(fresh, addon);
  console.error(`native: ${addon} in ${((performance.now() - began) / 1000).toFixed(0)} s`);
}
