/**
 * The commands that README.md and docs/operating.md tell are run here, as they stand there, against
 * a real edge: those in blocks, those within sentences, and the routes of the admin API, which are
 * asked by plain curl. A command that cannot be run here says why.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { certificates } from '../support/certificates.ts';
import { configuration, type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { findProgram, plainCommand, plainEnvironment } from '../support/process.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGES = ['README.md', 'docs/operating.md'];
/** Bare Debian has none. */
const missingCurl: string | false = findProgram('curl') === undefined ? 'curl is not installed' : false;

const PROGRAMS = /^(bin\/)?(lychgate|curl|make|apt-get|npm|npx|node|sudo|systemctl|openssl|mkdir) /;

/** Commands of the pages that are not run, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  'apt-get update && apt-get install -y make': 'changes the machine',
  'make run': 'installs, builds and takes fixed ports; the demo is run by hand and in CI',
  'make test': 'runs this test',
  'make native': 'builds the addon',
  'make bench': 'measures for minutes',
};

/** What stands in the pages for something else, by the edge that is asked. */
function asHere(command: string, edge: Edge, [first = '', second = '']: readonly string[]): string {
  return command
    .replaceAll('http://127.0.0.1:9901', edge.admin)
    .replaceAll('https://localhost:8443', edge.origin)
    .replaceAll('h2c://127.0.0.1:29000', first)
    .replaceAll(/h2c:\/\/(127\.0\.0\.1:29001|…)/g, second)
    .replace('> edge.yaml', '> made.yaml')
    .replace('[name]', 'web')
    .replace('new.pem', 'certs/dev.pem')
    .replace('new.key', 'certs/dev.key')
    .replace('<upstream> <url> <weight>', `web ${first} 50`)
    .replace('<route> <weights…>', 'shop 80 20')
    .replace('<url>', 'https://localhost/');
}

// Some twenty processes, one after the other.
t.setTimeout(600_000);

/** A route of which two upstreams have shares, as the pages speak of it. */
const SHOP = {
  name: 'shop',
  match: { path: '/' },
  split: [
    { upstream: 'web', weight: 95 },
    { upstream: 'next', weight: 5 },
  ],
};

t.test('every command of README.md and operating.md does what it says', { skip: missingAddon, timeout: 500_000 }, async (t) => {
  const origins = await Promise.all([
    startH2Origin(t, answers('found')),
    startH2Origin(t, answers('found')),
    startH2Origin(t, answers('found')),
  ]);
  const [first, second, third] = origins.map(({ url }) => url) as [string, string, string];
  const edge = await startEdge(t, {
    backends: [],
    config: {
      upstreams: { web: { backends: [{ url: first }, { url: second }] }, next: { backends: [{ url: third }] } },
      routes: [SHOP],
    },
  });
  const folder = workplace(t, first);
  const found = PAGES.flatMap((page) => commandsOf(readFileSync(join(ROOT, page), 'utf8')).map((command) => ({ page, command })));
  const run = new Set<string>();
  for (const { page, command } of found) {
    if (command in NOT_RUN || run.has(command)) continue;
    run.add(command);
    if (command.startsWith('curl ') && missingCurl) {
      t.pass(`${page}: ${command}`, { skip: missingCurl });
      continue;
    }
    const { code, output } = await runCommand(t, asHere(command, edge, [first, second]), folder, edge);
    t.equal(code, 0, `${page}: ${command}`, { output });
  }
  for (const command of Object.keys(NOT_RUN)) {
    const isTold = found.some((one) => one.command === command);
    t.ok(isTold, `${command} is left out (${NOT_RUN[command]}), and is still told of`);
  }
  t.equal(Object.keys(NOT_RUN).length, 5, 'few enough are left out');
  t.ok(run.size >= 14, `${run.size} were run`);
});

t.test(
  'every route of the admin API in operating.md answers as the table says, to plain curl',
  { skip: missingAddon || missingCurl, timeout: 200_000 },
  async (t) => {
    const origin = await startH2Origin(t, answers('found'));
    const other = await startH2Origin(t, answers('found'));
    const edge = await startEdge(t, {
      backends: [],
      config: {
        upstreams: { web: { backends: [{ url: origin.url }] }, next: { backends: [{ url: other.url }] } },
        routes: [SHOP],
      },
    });
    let asked = 0;
    for (const [, cell = ''] of readFileSync(join(ROOT, 'docs/operating.md'), 'utf8').matchAll(/^\| (`(?:GET|PUT) .*?) \| /gm)) {
      const [route = '', ...bodies] = [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);
      const [method = '', path = ''] = route.split(' ');
      for (const body of bodies.length === 0 ? [''] : bodies) {
        asked += 1;
        const words = ['-s', '-o', '-', '-w', '\n%{http_code}', '-m', path.startsWith('/v1/events') ? '0.5' : '10', '-X', method];
        const data = body === '' ? [] : ['-d', body.replace('h2c://…', origin.url)];
        const { output } = await end(
          spawn(...plainCommand('curl', [...words, ...data, `${edge.admin}${path}`]), { env: plainEnvironment() }),
        );
        t.match(output, /\n200$/, `${method} ${path} ${body}`, { output });
      }
    }
    t.equal(asked, 15);
    t.match(await edge.ask('/v1/log/level'), { level: 'debug' });
    t.match(await edge.ask('/v1/weights'), { backends: [{ weight: 0 }, {}], routes: [{ targets: [{ weight: 80 }, { weight: 20 }] }] });
  },
);

t.test('what `lychgate config defaults` prints is valid where its second comment has made the certificate', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-defaults-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const made = await shell('lychgate config defaults > edge.yaml', folder);
  t.equal(made.code, 0, made.output);
  const text = readFileSync(join(folder, 'edge.yaml'), 'utf8');
  const comment = /^# {3}(mkdir -p certs && openssl .*\\)\n# {5}(.*)$/m.exec(text);
  const openssl = await shell(`${comment?.[1]}\n${comment?.[2]}`, folder);
  t.equal(openssl.code, 0, openssl.output);
  for (const command of ['lychgate check edge.yaml', 'lychgate check --config edge.yaml']) {
    const { code, output } = await shell(command, folder);
    t.equal(code, 0, `${command}: ${output}`);
    t.match(output, /edge\.yaml is valid/);
  }
  t.match(await shell('lychgate check edge.yaml --config other.yaml', folder), { code: 2, output: /two configurations are named/ });
});

/**
 * Commands of a page: lines of blocks that begin with a program, and words of sentences that do.
 */
function commandsOf(text: string): string[] {
  const block = /^(?: {4}(?:\$ )?(.*)|(?:\$ )(.*))$/gm;
  const inBlocks = [...text.matchAll(block)].map((match) => (match[1] ?? match[2] ?? '').replace(/ +# .*$/, '').trim());
  const inSentences = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
  return [...inBlocks, ...inSentences].filter((command) => PROGRAMS.test(command));
}

/** A folder that looks like a checkout to the commands, with an `edge.yaml` of free ports. */
function workplace(t: Test, backend: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-commands-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'config'));
  cpSync(join(ROOT, 'config/minimal.yaml'), join(folder, 'config/minimal.yaml'));
  symlinkSync(join(ROOT, 'bin'), join(folder, 'bin'));
  symlinkSync(certificates().folder, join(folder, 'certs'));
  writeFileSync(join(folder, 'edge.yaml'), stringify(configuration({ backends: [backend] })));
  return folder;
}

/**
 * Runs a command to its end; `run` and `events`, which have none, until they have said something,
 * and then as Ctrl-C ends them.
 */
async function runCommand(t: Test, command: string, folder: string, edge: Edge): Promise<{ code: number | null; output: string }> {
  if (/lychgate run/.test(command)) {
    const child = start(command, folder);
    t.teardown(() => child.kill('SIGKILL'));
    return end(child, /"admin":true/);
  }
  if (/lychgate events/.test(command)) {
    const child = start(`${command}${command.includes('--after') ? '' : ' --after 0'}`, folder, { LYCHGATE_ADMIN: edge.admin });
    t.teardown(() => child.kill('SIGKILL'));
    const url = ((await edge.ask('/v1/weights')) as { backends: { backend: string }[] }).backends[0]?.backend;
    await shell(`lychgate weights backend web ${url} 7`, folder, { LYCHGATE_ADMIN: edge.admin });
    const { output } = await end(child, /weight_changed/);
    return { code: output.includes('weight_changed') ? 0 : 1, output };
  }
  return shell(command, folder, { LYCHGATE_ADMIN: edge.admin, LYCHGATE_CONFIG: join(folder, 'edge.yaml') });
}

function shell(command: string, folder: string, env: Record<string, string> = {}) {
  return end(start(command, folder, env));
}

/** As typed into a shell whose PATH has the commands. */
function start(command: string, folder: string, env: Record<string, string> = {}): ChildProcess {
  const path = `${join(ROOT, 'bin')}:${process.env['PATH']}`;
  const [program, words] = plainCommand('sh', ['-c', /[&>\n]/.test(command) ? command : `exec ${command}`]);
  return spawn(program, words, { cwd: folder, env: plainEnvironment({ PATH: path, ...env }), stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The end of a process and what it said; it is ended as Ctrl-C does once that matches `until`. */
async function end(child: ChildProcess, until?: RegExp): Promise<{ code: number | null; output: string }> {
  let output = '';
  let isEnded = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk) => {
      output += chunk;
      if (isEnded || until?.test(output) !== true) return;
      isEnded = true;
      child.kill('SIGINT');
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}
