/** Fields that routes remove by name, glob and pattern, in both directions. */

import fc from 'fast-check';
import { RE2JS } from 're2js';
import t from 'tap';
import { NAME_PATTERN_RULE } from '../../src/config/schema/pattern.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { tellsFields } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';

const skip = missingAddon;

t.test('a pattern takes whole names in both directions, and neither it nor a glob takes what frames the message', { skip }, async (t) => {
  const origin = await startH2Origin(t, (stream, headers) => {
    let body = '';
    stream.setEncoding('utf8').on('data', (chunk) => {
      body += chunk;
    });
    stream.on('end', () => {
      stream.respond({
        ':status': 200,
        'content-length': 4,
        'x-internal-host': 'db1',
        'x-debug': '1',
        'ax-debug': '2',
        'x-seen': JSON.stringify({ ...headers, body }),
      });
      stream.end('done');
    });
  });
  const remove = [{ regex: 'X-(internal|debug).*' }, { regex: 'content-.*' }, 'x-old-*', 'x-plain'];
  const edge = await startEdge(t, { backends: [origin.url], route: { request_headers: { remove }, response_headers: { remove } } });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange({
    method: 'POST',
    headers: {
      'x-internal-user': 'root',
      'x-debug': '1',
      'ax-debug': '2',
      'x-old-a': '3',
      'x-plain': '4',
      'x-stays': '5',
      'content-type': 'text/plain',
    },
    body: 'body',
  });
  t.match(response, { status: 200, text: 'done', headers: { 'ax-debug': '2', 'content-length': '4' } });
  t.notOk('x-internal-host' in response.headers || 'x-debug' in response.headers);
  const seen = JSON.parse(String(response.headers['x-seen']));
  t.match(seen, { ':path': '/', ':authority': `localhost:${edge.port}`, 'ax-debug': '2', 'x-stays': '5', body: 'body' });
  for (const name of ['x-internal-user', 'x-debug', 'x-old-a', 'x-plain', 'content-type']) t.notOk(name in seen, name);
});

t.test('the edge reads a pattern as the check of the configuration does', { skip }, async (t) => {
  const names = ['a', 'b', 'ab', 'ba', 'aab', 'abab', 'a-b', 'a.b', 'a+b', 'a1', '1', 'x-a', 'x-ab', 'x--', 'b_', 'a|b', 'a^b', 'a$'].map(
    (name) => `x${name}`,
  );
  const piece = fc.constantFrom(
    ...[
      'a',
      'B',
      '-',
      '1',
      '_',
      '.',
      '[ab]',
      '[^a]',
      '[A-z0-9]',
      '[-a]',
      '[.+*]',
      '\\d',
      '\\w',
      '\\.',
      '\\+',
      '\\|',
      '\\^',
      '\\-',
      '^',
      '$',
    ],
    ...['(', '(?:', ')', '|', '*', '+', '?', '*?', '\\$', '[\\^a]', '[\\]a]', '#', '~', '&&', '[a-]'],
  );
  const random = fc
    .tuple(fc.array(piece, { minLength: 1, maxLength: 6 }), fc.constantFrom('', '.*', '|x[ab].*'))
    .map(([pieces, end]) => `x${pieces.join('')}${end}`);
  const patterns = fc.sample(random, { seed: 7, numRuns: 4_000 }).filter((one) => NAME_PATTERN_RULE.normalise(one) !== undefined);
  const chosen = [...new Set([...patterns.slice(0, 250), 'x|xa', 'x.*', 'x[^-]+'])];
  const routes = chosen.map((regex, i) => ({
    match: { path: `/${i}`, exact: true },
    upstream: 'web',
    request_headers: { remove: [{ regex }] },
  }));
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url], config: { routes, claims: { underscores: 'pass' } } });
  const client = await connectH3(t, edge.port);
  const headers = Object.fromEntries(names.map((name) => [name, '1']));
  let taken = 0;
  for (const [i, regex] of chosen.entries()) {
    const seen = JSON.parse((await client.exchange({ path: `/${i}`, headers })).text);
    const re2 = RE2JS.compile(regex, RE2JS.CASE_INSENSITIVE);
    const expected = names.filter((name) => !re2.matches(name));
    taken += names.length - expected.length;
    t.same(
      names.filter((name) => name in seen),
      expected,
      regex,
    );
  }
  t.ok(taken > 300, `${taken} fields were removed`);
});
