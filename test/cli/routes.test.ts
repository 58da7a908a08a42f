import { execFile } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { PLAIN, plainWith, writeConfiguration } from '../config/support/configuration.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';

const ROUTES = `
  - { name: everything, match: { path: / }, upstream: web, fallback: { respond: { status: 503 } } }
  - { name: api, match: { host: "*.a.test", path: /api, methods: [GET, POST] }, upstream: web, rewrite: { strip_prefix: /api } }
  - { name: canary, match: { host: "*.a.test", path: /api, headers: { x-canary: { present: true } } }, upstream: web }
`;
const CONFIGURATION = plainWith('\n  - { match: { path: / }, upstream: web }\n', ROUTES);

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function lychgate(...words: readonly string[]): Promise<Outcome> {
  const program = join(import.meta.dirname, '../../bin/lychgate');
  return new Promise((resolve) => {
    execFile(...plainCommand(program, words), { env: plainEnvironment() }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

t.test('routes are listed in their precedence', async (t) => {
  const file = writeConfiguration(t, CONFIGURATION);
  const { code, stdout } = await lychgate('routes', '-c', file);
  t.equal(code, 0);
  t.equal(
    stdout,
    [
      'ROUTE       HOST      PATH    WHERE                     TO',
      'api         *.a.test  /api/*  method is GET or POST     web',
      'canary      *.a.test  /api/*  header x-canary is there  web',
      'everything  *         /*                                web',
      '',
    ].join('\n'),
  );
  const listed = JSON.parse((await lychgate('routes', '--json', '-c', file)).stdout) as { name: string }[];
  t.strictSame(
    listed.map(({ name }) => name),
    ['api', 'canary', 'everything'],
  );
});

t.test('a test names the route, what was passed over and what the backend sees', async (t) => {
  const file = writeConfiguration(t, CONFIGURATION);
  const { code, stdout } = await lychgate('routes', 'test', '-c', file, '-X', 'put', '-H', 'X-Canary: 1', 'https://B.A.test/api/%78?q');
  t.equal(code, 0);
  t.match(stdout, /^PUT https:\/\/b\.a\.test\/api\/x\?q\n/, 'in canonical form');
  t.match(stdout, /\n {2}passed over api: fails at method is GET or POST\n {2}route {7}canary: /);
  t.match((await lychgate('routes', 'test', '-c', file, 'b.a.test/api/x?q')).stdout, /\n {4}request {3}GET \/x\?q\n/);
  t.match((await lychgate('routes', 'test', '-c', file, 'other.test')).stdout, /\n {2}or else {5}respond 503\n/);
});

t.test('as JSON a test says the same', async (t) => {
  const file = writeConfiguration(t, CONFIGURATION);
  const { stdout } = await lychgate('routes', 'test', '--json', '-c', file, '--client', '2001:db8::1', 'https://a.a.test/api');
  t.match(JSON.parse(stdout), {
    request: { method: 'GET', authority: 'a.a.test', path: '/api', peer: '2001:db8::1' },
    client: '2001:db8::1',
    route: { name: 'api' },
    outcome: { kind: 'forwarded', targets: [{ upstream: 'web', share: 100, backends: 2, path: '/' }] },
  });
});

t.test('what no route takes, or what has no canonical form, exits 3', async (t) => {
  const file = writeConfiguration(t, plainWith('path: /', 'path: /only'));
  t.match(await lychgate('routes', 'test', '-c', file, 'https://a.test/'), { code: 3, stdout: /no route {4}404 route_not_found/ });
  t.match(await lychgate('routes', 'test', '-c', file, 'https://a.test/%00'), { code: 3, stdout: /no route {4}400 path_not_canonical: / });
});

t.test('a question that is not understood exits 2, a configuration with mistakes 1', async (t) => {
  const file = writeConfiguration(t, PLAIN);
  const ask = (...words: string[]) => lychgate('routes', 'test', '-c', file, ...words);
  t.match(await ask('https://a.test/#x'), { code: 2, stderr: /has a fragment, which is never sent/ });
  t.match(await ask('https://a.test/', '--client', 'me'), { code: 2, stderr: /'me' is not an address/ });
  t.match(await ask('https://a.test/', '--listener', 'x'), { code: 2, stderr: /there is no listener x; there are public/ });
  t.match(await ask('https://a.test/', '-H', 'x'), { code: 2, stderr: /a header is 'name: value'/ });
  t.match(await ask(), { code: 2, stderr: /missing required argument 'url'/ });
  const broken = writeConfiguration(t, plainWith('path: /', 'path: x'));
  t.match(await lychgate('routes', '-c', broken), { code: 1, stdout: '', stderr: /routes\[0\]\.match\.path/ });
});
