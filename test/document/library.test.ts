/**
 * `docs/library.md` is true: its examples run on the built package, imported by the names of its
 * exports, and print what stands below them; its defaults are the code's, and the edge's.
 */

import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import {
  BREAKER_DEFAULTS,
  BULKHEAD_DEFAULTS,
  DEADLINE_DEFAULTS,
  RATE_LIMITER_DEFAULTS,
  RETRY_BUDGET_DEFAULTS,
  RETRY_DEFAULTS,
} from '../../src/resilience/index.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/library.md'), 'utf8');
const start = promisify(execFile);

const node = (folder: string, ...args: string[]) =>
  start(...plainCommand(process.execPath, args), { cwd: folder, env: plainEnvironment({ NO_COLOR: '1', NODE_ENV: 'test' }) });

t.setTimeout(120_000);

t.test('every example compiles and prints what the page says', async (t) => {
  const folder = await installed(t);
  const examples = examplesOf(page);
  t.ok(examples.length >= 7);
  for (const { name, code } of examples) writeFileSync(join(folder, name), code, { flag: 'wx' });
  await t.resolves(
    node(folder, join(root, 'node_modules/.bin/tsc'), '-p', folder).catch(({ stdout }) => Promise.reject(new Error(stdout))),
  );
  for (const { heading, name, output } of examples) {
    const { stdout, stderr } = await node(folder, '--disable-warning=ExperimentalWarning', name);
    t.equal(stdout, output, heading);
    t.equal(stderr, '', `${heading} complains of nothing`);
  }
});

t.test('every default of the page is that of the code', async (t) => {
  const parts = { ...RETRY_DEFAULTS, ...RATE_LIMITER_DEFAULTS, ...BULKHEAD_DEFAULTS, ...DEADLINE_DEFAULTS, ...BREAKER_DEFAULTS };
  for (const [option, value] of [...Object.entries(parts), ...Object.entries(RETRY_BUDGET_DEFAULTS)]) {
    const written = value === '' ? '' : `\`${value}\` `;
    t.ok(page.includes(`\n| \`${option}\` | ${written}|`), `${option} is ${value}`);
  }
});

t.test('every default is that of the edge', async (t) => {
  const reference = readFileSync(join(root, 'docs/configuration.md'), 'utf8');
  const sections = {
    'upstreams.<name>.breaker': BREAKER_DEFAULTS,
    'upstreams.<name>.retry_budget': RETRY_BUDGET_DEFAULTS,
    'routes[].retries': RETRY_DEFAULTS,
    'routes[].limits': BULKHEAD_DEFAULTS,
    'routes[].limits.rate[]': {
      perMs: RATE_LIMITER_DEFAULTS.perMs,
      burst: RATE_LIMITER_DEFAULTS.burst,
      maxKeys: RATE_LIMITER_DEFAULTS.maxKeys,
    },
  };
  for (const [section, defaults] of Object.entries(sections)) {
    for (const [option, value] of Object.entries(defaults)) {
      const key = `${section}.${option.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
      const line = reference.split('\n').find((line) => line.startsWith(`| \`${key}\` |`));
      t.equal(numberOf(line?.split('|')[3]?.trim().replaceAll('`', '') ?? ''), value, key);
    }
  }
});

/**
 * A folder in which the package is installed as it is published: the compiled form, entered by its
 * exports.
 */
async function installed(t: { teardown(end: () => void): void }): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-library-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const home = join(folder, 'node_modules/lychgate');
  mkdirSync(home, { recursive: true });
  copyFileSync(join(root, 'package.json'), join(home, 'package.json'));
  const compiler = join(root, 'node_modules/.bin/tsc');
  await node(root, compiler, '-p', 'tsconfig.build.json', '--outDir', join(home, 'dist'));
  for (const name of ['fastify', 'express', '@types/node']) {
    mkdirSync(dirname(join(folder, 'node_modules', name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const compilerOptions = { module: 'nodenext', target: 'es2024', strict: true, noEmit: true, skipLibCheck: true, types: ['node'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  return folder;
}

/** Blocks of code that have an output below them. */
function examplesOf(text: string): { heading: string; name: string; code: string; output: string }[] {
  const blocks = text.matchAll(/^## (.+)\n(?:(?!^## )[\s\S])*?^```(ts|js)\n([\s\S]*?)^```\n+^```text\n([\s\S]*?)^```/gm);
  return Array.from(blocks, ([, heading = '', kind = '', code = '', output = '']) => ({
    heading,
    name: `${heading.toLowerCase().replaceAll(' ', '-')}.${kind}`,
    code,
    output,
  }));
}

function numberOf(text: string): number {
  if (text === 'none') return 0;
  // `breaker.consecutive` where there is more than one backend.
  if (text === 'auto') return 5;
  const [, number = '', unit = ''] = /^([\d.]+)(ms|s|m|)$/.exec(text) ?? [];
  return Number(number || Number.NaN) * ({ ms: 1, s: 1_000, m: 60_000 }[unit] ?? 1);
}
