import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { diffConfigs } from '../../src/config/describe/diff.ts';
import { loadSnapshot } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { PLAIN, plainWith, writeConfiguration } from './support/configuration.ts';

/** Writes a configuration that includes `patterns`, and files beside it. */
function write(t: Test, patterns: string, files: Readonly<Record<string, string>>, main = PLAIN): string {
  const file = writeConfiguration(t, `${main}include: ${patterns}\n`);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dirname(file), path)), { recursive: true });
    writeFileSync(join(dirname(file), path), text);
  }
  return file;
}

/** Its mistakes, without the folder. */
async function problemsOf(t: Test, file: string): Promise<string[]> {
  return (await loadSnapshot(file)).problems.map((problem) => formatProblem(problem).replaceAll(`${t.testdirName}/`, ''));
}

const route = (path: string, more = ''): string => `{ match: { path: /${path} }, upstream: web${more} }`;

t.test('included files come in the order of the patterns and then by name, behind the configuration itself', async (t) => {
  const file = write(t, '[last.yaml, "routes.d/*.yaml", "routes.d/1?-b.yaml"]', {
    'last.yaml': `- ${route('last')}\n`,
    'routes.d/9.yaml': `- ${route('nine')}\n`,
    'routes.d/10-b.yaml': `routes: [${route('ten')}]\nupstreams: { more: { backends: [{ url: "h2c://127.0.0.1:9009" }] } }\n`,
    'routes.d/11.yaml': `- { match: { path: /eleven, tenant: acme }, upstream: more }\n`,
    'routes.d/12.yaml': '# nothing yet\n',
    'routes.d/13.yaml': 'tenants: { acme: { header: x-tenant } }\n',
    'routes.d/.hidden.yaml': 'nonsense',
    'routes.d/note.txt': 'nonsense',
    'routes.d/folder.yaml/any': 'nonsense',
  });
  const { snapshot, problems, files, includes } = await loadSnapshot(file);
  t.same(problems, []);
  t.same(
    snapshot?.routes.map(({ name }) => name),
    ['/', '/last', '/ten', 'acme:/eleven', '/nine'],
  );
  t.same(
    files.map(({ file, routes }) => [file.replace(`${t.testdirName}/`, ''), routes]),
    [
      ['edge.yaml', 1],
      ['last.yaml', 1],
      ['routes.d/10-b.yaml', 1],
      ['routes.d/11.yaml', 1],
      ['routes.d/12.yaml', 0],
      ['routes.d/13.yaml', 0],
      ['routes.d/9.yaml', 1],
    ],
  );
  t.same(
    includes.map((path) => path.replace(`${t.testdirName}/`, '')),
    ['last.yaml', 'routes.d/*.yaml', 'routes.d/1?-b.yaml'],
  );
  t.same(
    snapshot?.upstreams.map(({ name }) => name),
    ['web', 'more'],
  );
});

t.test('all routes may be in files that are included', async (t) => {
  const main = PLAIN.slice(0, PLAIN.indexOf('routes:'));
  t.same(await problemsOf(t, write(t, 'routes.d/*', { 'routes.d/a': `- ${route('a')}\n` }, main)), []);
  const without = await problemsOf(t, write(t, 'routes.d/*', { 'routes.d/a': '' }, main));
  t.match(without[0], /^edge\.yaml:1:1: error: routes: is missing/);
});

t.test('a mistake is told with the file, the line and the place where it was made', async (t) => {
  const file = write(t, 'routes.d/*.yaml', {
    'routes.d/a.yaml': `- ${route('a')}\n- ${route('b')}\n`,
    'routes.d/b.yaml': `\nroutes:\n  - ${route('c')}\n  - { match: { path: /d, pahth: /d }, upstream: web }\n`,
    'routes.d/c.yaml': `- { match: { path: /e }, upstream: nobody }\n`,
    'routes.d/d.yaml': `upstreams:\n  more: { backends: [{ url: "h2c://127.0.0.1:9009", weigth: 1 }] }\nroutes: [{ match: { path: /f }, upstream: more }]\n`,
  });
  t.same(await problemsOf(t, file), [
    'routes.d/b.yaml:4:26: error: routes[1].match.pahth: is not a key here; did you mean path?',
    'routes.d/c.yaml:1:36: error: routes[0].upstream: "nobody" is not an upstream; expected one of web, more',
    'routes.d/d.yaml:2:53: error: upstreams.more.backends[0].weigth: is not a key here; did you mean weight?',
  ]);
});

t.test('what stands twice names both places', async (t) => {
  const limit = '{ name: burst, requests: 1, per: 1s }';
  const file = write(
    t,
    'routes.d/*.yaml',
    {
      'routes.d/a.yaml': `- ${route('')}\n- ${route('b', ', name: same')}\n- ${route('c', `, limits: { rate: [${limit}] }`)}\n`,
      'routes.d/b.yaml': `- ${route('d', ', name: same')}\n- ${route('b')}\n- ${route('e', `, limits: { rate: [${limit}] }`)}\n`,
      'routes.d/c.yaml': 'tenants: { acme: { header: x-tenant } }\n',
      'routes.d/d.yaml': `tenants: { other: { header: x-tenant, value: acme } }\nroutes: [${route('f')}, ${route('f')}]\n`,
    },
    plainWith('upstream: web }', 'upstream: web, name: root }'),
  );
  const lines = (await problemsOf(t, file)).filter((line) => line.includes('error'));
  t.match(
    lines[0],
    /^routes\.d\/a\.yaml:1:12: error: routes\[0\]\.match: "\* \/" stands already in routes\[0\] of edge\.yaml:12:5; expected/,
  );
  t.match(lines[1], /^routes\.d\/b\.yaml:1:\d+: error: routes\[0\]\.name: "same" stands already in routes\[1\] of routes\.d\/a\.yaml:2:3/);
  t.match(
    lines[2],
    /^routes\.d\/b\.yaml:2:12: error: routes\[1\]\.match: "\* \/b" stands already in routes\[1\] of routes\.d\/a\.yaml:2:3/,
  );
  t.match(
    lines[3],
    /^routes\.d\/b\.yaml:3:\d+: error: routes\[2\]\.limits\.rate\[0\]\.name: "burst" .*routes\[2\]\.limits\.rate\[0\] of routes\.d\/a\.yaml:3/,
  );
  t.match(
    lines[4],
    /^routes\.d\/d\.yaml:1:\d+: error: tenants\.other\.header: "x-tenant: acme" stands already in tenants\.acme of routes\.d\/c\.yaml:1:/,
  );
  t.match(lines[5], /^routes\.d\/d\.yaml:2:\d+: error: routes\[1\]\.match: "\* \/f" stands already in routes\[0\];/, 'in one file as ever');

  const twice = write(t, 'more.yaml', { 'more.yaml': '\nupstreams:\n  web: { backends: [{ url: "h2c://127.0.0.1:9009" }] }\n' });
  t.same(await problemsOf(t, twice), [
    'more.yaml:3:3: error: upstreams.web: stands already in upstreams.web of edge.yaml:8:3; expected each upstream to have its own name',
  ]);
});

t.test('an included file includes nothing and says nothing about the rest', async (t) => {
  const file = write(t, 'routes.d/*.yaml', {
    'routes.d/a.yaml': 'include: more.yaml\nlisteners: []\nroutes: {}\nupstreams: []\n',
    'routes.d/b.yaml': 'just words\n',
    'routes.d/c.yaml': '- [\n',
  });
  const lines = await problemsOf(t, file);
  t.same(lines.slice(0, 5), [
    'routes.d/a.yaml:1:1: error: include: stands in a file that is included itself; expected include in the configuration only',
    'routes.d/a.yaml:2:1: error: listeners: is not a key of an included file; expected one of routes, upstreams, tenants',
    'routes.d/a.yaml:3:9: error: routes: a mapping is not acceptable; expected a list of routes',
    'routes.d/a.yaml:4:12: error: upstreams: a list is not acceptable; expected a mapping of names',
    'routes.d/b.yaml:1:1: error: the file is no mapping and no list; expected a list of routes, or keys such as routes, upstreams',
  ]);
  t.match(lines[5], /^routes\.d\/c\.yaml:\d+:\d+: error: not valid YAML/);
});

t.test('a file or folder that is missing is refused, a pattern that meets nothing is not', async (t) => {
  t.same(await problemsOf(t, write(t, 'routes.d/*.yaml', { 'routes.d/note': '' })), []);
  t.same(
    await problemsOf(t, write(t, '[routes.d/*.yaml, more.yaml]', {})),
    [
      'edge.yaml:13:11: error: include[0]: "routes.d/*.yaml" routes.d: the folder does not exist',
      'more.yaml: error: the file does not exist',
    ].toSorted((a) => (a.startsWith('more') ? 1 : -1)),
  );
  const broken = write(t, 'routes.d/*.yaml', { 'routes.d/a.yaml': '' });
  rmSync(join(dirname(broken), 'routes.d/a.yaml'));
  symlinkSync('nowhere', join(dirname(broken), 'routes.d/a.yaml'));
  t.same(await problemsOf(t, broken), ['routes.d/a.yaml: error: the file does not exist']);
  t.match(
    (await problemsOf(t, write(t, '"*.yaml"', {})))[0],
    /^edge\.yaml:13:\d+: error: include\[0\]: "\*\.yaml" takes in the configuration itself/,
  );
});

t.test('patterns are bounded: wildcards in the name only, and so many files', async (t) => {
  for (const pattern of ['"**/*.yaml"', 'routes.d/', '"*/a.yaml"', '"a[0-9].yaml"', '""']) {
    const [line = ''] = await problemsOf(t, write(t, pattern, {}));
    t.match(
      line,
      /^edge\.yaml:13:10: error: include(\[0\])?: .*expected the path of a file, or a folder and a name with \* or \?/,
      pattern,
    );
  }
  const many = Object.fromEntries(Array.from({ length: 1_025 }, (_, place) => [`routes.d/${place}.yaml`, '']));
  t.match((await problemsOf(t, write(t, 'routes.d/*', many)))[0], /include\[0\]: "routes\.d\/\*" is one of more than 1024 files/);
  const stars = write(t, `"${'*a'.repeat(40)}b"`, { [`${'a'.repeat(200)}`]: '' });
  t.same(await problemsOf(t, stars), [], 'many stars cost no more than the name is long');
});

t.test('what moved into a file of its own has not changed', async (t) => {
  const whole = await loadSnapshot(writeConfiguration(t, `${PLAIN}  - ${route('a')}\n`));
  const parted = await loadSnapshot(write(t, 'routes.d/*', { 'routes.d/a.yaml': `- ${route('a')}\n` }));
  t.same(diffConfigs(whole.config!, parted.config!), [{ path: 'include', before: [], after: ['routes.d/*'] }]);
});
