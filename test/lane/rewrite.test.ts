import fc from 'fast-check';
import t from 'tap';
import type { PathEditSnapshot } from '../../src/config/snapshot/route.ts';
import { compilePathEdit, MAX_EDITED_BYTES } from '../../src/lane/head/path-edit.ts';
import { PathRewrite } from '../../src/lane/head/path-rewrite.ts';
import { headDesk } from '../support/heads.ts';
import { standLane } from '../support/lanes.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

function prefix(from: string, to: string, target: string): string | undefined {
  return compilePathEdit({ kind: 'prefix', prefix: from, replacement: to })!.apply(target);
}

function regex(pattern: string, replacement: string, target: string): string | undefined {
  return compilePathEdit({ kind: 'regex', pattern, replacement })!.apply(target);
}

t.test('a prefix is replaced on segment borders and the query stays', async (t) => {
  const rows: [string, string, string, string | undefined][] = [
    ['/api', '/v2', '/api/x?q=/api', '/v2/x?q=/api'],
    ['/api', '/v2', '/api', '/v2'],
    ['/api', '/v2', '/api?q', '/v2?q'],
    ['/api', '', '/api/x', '/x'],
    ['/api', '', '/api', '/'],
    ['/api', '', '/api?q', '/?q'],
    ['/api/', '/v2/', '/api/x', '/v2/x'],
    ['/api', '/', '/api/x', '/x'],
    ['/', '/v2', '/x', '/v2/x'],
    ['/', '/v2', '/', '/v2/'],
    ['/api', '/v2', '/apix', undefined],
    ['/api', '/v2', '/x/api', undefined],
  ];
  for (const [from, to, target, expected] of rows) t.equal(prefix(from, to, target), expected, `${from} ${to} ${target}`);
});

t.test('a pattern is replaced where it is found first, with its groups, and the query stays', async (t) => {
  t.equal(regex('^/users/([0-9]+)$', '/people/$1', '/users/42?full=1'), '/people/42?full=1');
  t.equal(regex('/users', '/people', '/a/users/users'), '/a/people/users');
  t.equal(regex('^/(\\w+)/(\\w+)', '/$2/$1', '/a/b/c'), '/b/a/c');
  t.equal(regex('^/(a)?(b)', '/$1$2', '/b'), '/b', 'a group that takes no part is empty');
  t.equal(regex('^.*$', '/cost/$$5', '/x'), '/cost/$5');
  t.equal(regex('^/s/(.+)$', '/search?q=$1', '/s/tea?page=2'), '/search?q=tea&page=2');
  t.equal(
    regex('^/s/([^/]+)/?(.*)$', '/s?q=$1&in=$2', '/s/a&admin=1+1;x/b=c?page=2'),
    '/s?q=a%26admin%3D1%2B1%3Bx&in=b%3Dc&page=2',
    'a group is one value',
  );
  t.equal(regex('^/s/', '/search?q=', '/s/a&b=c'), '/search?q=a%26b%3Dc', 'what is left behind the match is one too');
  t.equal(regex('^/users$', '/people', '/other?/users'), undefined, 'the query is not looked at');
});

t.test('what comes out and is no path leaves the path as it was', async (t) => {
  t.equal(regex('^/', '', '/x'), undefined, 'no slash in front');
  t.equal(regex('^/old(.*)$', '/$1', '/old/x'), '/x', 'one slash in front');
  t.equal(regex('^/(.)a(.)/(.*)$', '/$1$2/$3', '/.a./secret'), undefined, 'a way up');
  t.equal(regex('^/x/(.*)$', '/%$1', '/x/2e%2e/a'), undefined, 'a way up in escapes');
  t.equal(regex('^/x/(.*)$', '/$1;v=1', '/x/..'), undefined, 'a way up with parameters');
  t.equal(regex('^/x(.)(.*)$', '/$2%', '/x1'), undefined, 'half an escape');
  t.equal(regex('^/(.*)$', '/$1$1$1', `/${'x'.repeat(MAX_EDITED_BYTES / 2)}`), undefined, 'too long');
  t.equal(regex('^/(.*)$', '/a b|$1', '/\u00e9'), '/a%20b%7C%E9', 'what cannot stand in a path is encoded');
});

t.test('whatever the pattern makes of it, a path comes out or none', async (t) => {
  const text = fc.string({ unit: fc.constantFrom(...'/.%2eEfF5cC;?a#"\u00ff $'), maxLength: 12 });
  fc.assert(
    fc.property(text, text, (path, replacement) => {
      const changed = regex('^/(.?)(.*)$', replacement.replaceAll('$', '$1'), `/${path}`);
      if (changed === undefined) return true;
      const [segments = ''] = changed.split('?', 1);
      const dots = decodeURIComponent(segments.replace(/%(?!2e|2f|5c)/gi, '%25')).split(/[/\\]/);
      return /^\/[!-~]*$/.test(segments) && !dots.some((segment) => /^\.\.?(?:;|$)/.test(segment));
    }),
    { seed: 3, numRuns: 5_000 },
  );
  t.pass('five thousand paths');
});

t.test('the lane brings the rewritten path as a value, and none where it stays', async (t) => {
  const path: PathEditSnapshot = { kind: 'regex', pattern: '^/users/([0-9]+)$', replacement: '/people/$1' };
  const decisions = standLane(sampleSnapshot({ routes: [{ path }] })).ask({ path: '/users/42?x' }, { path: '/other' });
  t.match(decisions, [
    { kind: 'forward', values: ['/people/42?x', ''] },
    { kind: 'forward', values: ['', ''] },
  ]);
});

t.test('there is room for the longest path that can come out', async (t) => {
  const path: PathEditSnapshot = { kind: 'regex', pattern: '^/x', replacement: '/yy' };
  const stand = standLane(sampleSnapshot({ routes: [{ path }] }));
  const long = Array.from({ length: 30 }, () => ({ path: `/x${'y'.repeat(MAX_EDITED_BYTES - 10)}` }));
  let taken = stand.ask(...long);
  t.ok(taken.length > 5 && taken.length < 30, 'heads are left while there is no room');
  for (let turn = 0; turn < 10; turn++) taken = [...taken, ...stand.ask()];
  t.equal(taken.length, 30);
  t.strictSame(stand.noted.errors, []);
});

t.test('nothing but patterns needs the lane', async (t) => {
  t.equal(PathRewrite.of({ kind: 'keep' }), undefined);
  t.equal(PathRewrite.of({ kind: 'prefix', prefix: '/a', replacement: '' }), undefined);
  const { read } = headDesk();
  t.equal(PathRewrite.of({ kind: 'regex', pattern: 'a', replacement: 'b' })!.apply(read({ path: '/a' })), '/b');
});
