/**
 * Makes `native/.patched/quiche`, which `native/Cargo.toml` names in `[patch.crates-io]`: the crate
 * as cargo fetched it, with `quiche.patch` applied. Everything that calls cargo in `native/` runs
 * this first; when nothing changed it only compares a stamp.
 *
 *   node native/patch.mjs
 *
 * It fails when `Cargo.lock` has another version than the patch was written for, or a hunk does not
 * fit exactly.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const VERSION = '0.30.0';
/**
 * Of the crate as crates.io serves it; `Cargo.lock` keeps none for a crate that comes from a path.
 */
const CHECKSUM = '52b35a721a2a56797347929745fa783fc99e680d9484b80324ce40106b75493a';
const FOLDER = import.meta.dirname;
const PATCH = join(FOLDER, 'quiche.patch');
const PATCHED = join(FOLDER, '.patched', 'quiche');

if (import.meta.main) patchQuiche();

export function patchQuiche() {
  const lock = readFileSync(join(FOLDER, 'Cargo.lock'), 'utf8');
  const [entry, version] = /name = "quiche"\nversion = "([^"]+)"\n/.exec(lock) ?? [];
  if (version !== VERSION) throw new Error(`Cargo.lock has quiche ${version}, quiche.patch is for ${VERSION}`);

  const stamp = createHash('sha256').update(CHECKSUM).update(readFileSync(PATCH)).digest('hex');
  const stampFile = join(PATCHED, '.stamp');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;

  // Beside its place, then renamed: whoever is stopped halfway leaves nothing that looks finished.
  mkdirSync(dirname(PATCHED), { recursive: true });
  const fresh = mkdtempSync(`${PATCHED}-`);
  try {
    cpSync(fetched(lock, entry), fresh, { recursive: true });
    run('patch', ['-p1', '--fuzz=0', '--batch', '--input', PATCH], fresh);
    writeFileSync(join(fresh, '.stamp'), stamp);
    rmSync(PATCHED, { recursive: true, force: true });
    renameSync(fresh, PATCHED);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  console.error(`native: quiche ${VERSION} patched`);
}

/**
 * The folder of the crate as cargo unpacked it; cargo checks what it downloads against the
 * checksum. The workspace cannot be asked, it does not load without the patched crate: a package
 * that only depends on quiche can, with the same lockfile, so that nothing is fetched which the
 * build does not use.
 */
function fetched(lock, entry) {
  const scratch = mkdtempSync(join(tmpdir(), 'lychgate-quiche-'));
  try {
    const dependency = /^quiche = \{ version.*$/m.exec(readFileSync(join(FOLDER, 'Cargo.toml'), 'utf8'))?.[0];
    writeFileSync(
      join(scratch, 'Cargo.toml'),
      `[package]\nname = "scratch"\nedition = "2024"\n[lib]\npath = "lib.rs"\n[dependencies]\n${dependency}\n[workspace]\n`,
    );
    writeFileSync(join(scratch, 'lib.rs'), '');
    const source = `source = "registry+https://github.com/rust-lang/crates.io-index"\nchecksum = "${CHECKSUM}"\n`;
    writeFileSync(join(scratch, 'Cargo.lock'), lock.replace(entry, `${entry}${source}`));
    const { packages } = JSON.parse(run('cargo', ['metadata', '--format-version', '1'], scratch));
    const found = packages.find((each) => each.name === 'quiche' && each.version === VERSION);
    if (!found) throw new Error(`cargo did not fetch quiche ${VERSION}`);
    return dirname(found.manifest_path);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function run(command, args, cwd) {
  const env = { ...process.env, PATH: `${process.env['PATH']}${delimiter}${process.env['HOME']}/.cargo/bin` };
  const { error, status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed\n${stdout}${stderr}`);
  return stdout;
}
