import { execFile } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { PLAIN, plainWith, writeConfiguration } from '../config/support/configuration.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function lychgate(words: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const program = join(import.meta.dirname, '../../bin/lychgate');
  return new Promise((resolve) => {
    execFile(...plainCommand(program, words), { env: plainEnvironment(env) }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

t.test('a valid configuration is summed up and exits 0', async (t) => {
  const file = writeConfiguration(t, PLAIN);
  const { code, stdout, stderr } = await lychgate(['check', '--config', file]);
  t.equal(code, 0);
  t.equal(stderr, '');
  t.match(stdout, /edge\.yaml is valid\n {2}listener {2}public on 127\.0\.0\.1:8443 for localhost/);
  t.match(stdout, /generation [0-9a-f]{64}\n$/);
});

t.test('every mistake is listed on stderr and the exit is 1', async (t) => {
  const file = writeConfiguration(t, plainWith('weight: 100', 'weigth: 100').replace('path: /', 'path: x'));
  const { code, stdout, stderr } = await lychgate(['check', '-c', file]);
  t.equal(code, 1);
  t.equal(stdout, '');
  t.match(stderr, `${file}:9:47: error: upstreams.web.backends[0].weigth: is not a key here; did you mean weight?`);
  t.match(stderr, `${file}:12:22: error: routes[0].match.path: "x" is not acceptable`);
  t.match(stderr, /\n2 errors, 0 warnings\n$/);
});

t.test('warnings are told and exit 0', async (t) => {
  const file = writeConfiguration(t, plainWith('  web:', '  other: { backends: [{ url: "h2c://a" }] }\n  web:'));
  const { code, stderr } = await lychgate(['check', '-c', file]);
  t.equal(code, 0);
  t.match(stderr, /warning: upstreams\.other: is not used by any route\n0 errors, 1 warning\n$/);
});

t.test('the environment names the file and a flag wins over the environment', async (t) => {
  const file = writeConfiguration(t, PLAIN);
  const env = { LYCHGATE_CONFIG: file, LYCHGATE_ADMIN_ADDRESS: '127.0.0.1:7001' };
  t.match((await lychgate(['check'], env)).stdout, /admin {5}127\.0\.0\.1:7001\n/);
  t.match((await lychgate(['check', '--admin-address', '127.0.0.1:7002'], env)).stdout, /admin {5}127\.0\.0\.1:7002\n/);
});

t.test('a command line that is not understood exits 2 and says what was meant', async (t) => {
  t.match(await lychgate(['chek']), { code: 2, stderr: /unknown command 'chek'\n\(Did you mean check\?\)/ });
  t.match(await lychgate(['check', '--log-levl', 'x']), { code: 2, stderr: /Did you mean --log-level\?/ });
  t.match(await lychgate(['check']), { code: 2, stderr: /^lychgate: no configuration is named: use --config FILE or LYCHGATE_CONFIG/ });
});

t.test('help has examples, and the version is that of the package', async (t) => {
  const help = await lychgate(['--help']);
  t.equal(help.code, 0);
  t.match(help.stdout, /Examples:\n {2}lychgate check --config/);
  t.match(await lychgate(['--version']), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ });
});

t.test('the configuration can be asked about in every form', async (t) => {
  const schema = await lychgate(['config', 'schema']);
  t.equal((JSON.parse(schema.stdout) as { title: string }).title, 'Lychgate configuration');
  t.match((await lychgate(['config', 'defaults'])).stdout, /^version: 1$/m);
  t.match((await lychgate(['config', 'env'])).stdout, /\| `admin\.address` \| `LYCHGATE_ADMIN_ADDRESS` \| `--admin-address` \|/);
  t.match((await lychgate(['config', 'docs'])).stdout, /^# Configuration/);
});
