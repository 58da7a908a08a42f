/**
 * What thousands of routes say alike is one object, from the file to the shards: that is what they
 * cost so little by.
 */

import { join } from 'node:path';
import t from 'tap';
import { routesFile } from '../../bench/routes-file.ts';
import { generationOf } from '../../src/config/generation.ts';
import { Numberer } from '../../src/config/numbering/numberer.ts';
import { packRoutes, RouteTable } from '../../src/config/route-table.ts';
import type { RouteSnapshot } from '../../src/config/snapshot/route.ts';
import { PlanBook } from '../../src/lane/plan/book.ts';
import { tableOfPlans } from '../../src/lane/plan/table.ts';
import { certificates } from '../support/certificates.ts';
import { load } from './support/configuration.ts';
import { EVERYTHING } from './support/everything.ts';

const ROUTES = 500;

const file = (routes: number, round = 0): string => {
  const { folder } = certificates();
  return routesFile({ routes, chainPath: join(folder, 'dev.pem'), keyPath: join(folder, 'dev.key'), shards: 1, round });
};

const distinct = (routes: readonly object[], key: string): number =>
  new Set(routes.map((route) => (route as Readonly<Record<string, unknown>>)[key])).size;

t.test('parts that routes leave out or say in the same words are one object, in the configuration and in the snapshot', async (t) => {
  const { config, snapshot, problems } = await load(t, file(ROUTES));
  t.same(problems, []);
  for (const key of ['subset', 'split', 'timeouts', 'retries', 'limits', 'access', 'request_headers', 'response_headers', 'forwarded']) {
    t.ok(distinct(config!.routes, key) <= 2, `${key} of the configuration`);
  }
  const keys = ['splitKeys', 'fallback', 'fallbackOn', 'retries', 'access', 'bulkhead', 'requestEdits', 'responseEdits', 'path'] as const;
  // Of the paths those that are rewritten have the prefix of their own route in them.
  for (const key of keys) t.ok(distinct(snapshot!.routes, key) <= (key === 'path' ? 1 + ROUTES / 10 : 2), `${key} of the snapshot`);
  t.ok(distinct(snapshot!.routes, 'targets') <= 1 + snapshot!.upstreams.length, 'targets of the snapshot');
  t.ok(
    distinct(
      snapshot!.routes.map(({ match }) => match),
      'headers',
    ) <= 2,
  );
});

t.test('what is shared cannot be changed', async (t) => {
  const { config } = await load(t, file(10));
  t.throws(() => Object.assign(config!.routes[1]!.retries, { attempts: 5 }), TypeError);
});

t.test('packed routes are the routes that were packed, and take less than 400 bytes each', async (t) => {
  for (const text of [file(ROUTES), EVERYTHING]) {
    const { snapshot } = await load(t, text);
    const routes = snapshot?.routes ?? [];
    t.ok(routes.length > 3);
    const packed = structuredClone(packRoutes(routes));
    const table = new RouteTable(packed);
    t.equal(table.length, routes.length);
    for (const [number, route] of routes.entries()) {
      t.same(table.at(number), route);
      t.equal(table.name(number), route.name);
    }
    t.equal(table.at(-1), undefined);
    t.equal(table.at(routes.length), undefined);
    if (text !== EVERYTHING) {
      t.equal(table.at(1)?.retries, table.at(2)?.retries, 'what they have in common is one object here too');
      const bytes = packed.rows.byteLength + packed.text.byteLength + packed.ends.byteLength;
      t.ok(bytes / routes.length < 400, `${bytes / routes.length} bytes`);
    }
  }
});

t.test('shards are told of plans that they do not know, and of no others', async (t) => {
  const numberer = new Numberer();
  const book = new PlanBook(16);
  const next = async (round: number, more = '') => {
    const numbered = numberer.number((await load(t, file(50, round) + more)).snapshot!, 0, 0);
    if (!('snapshot' in numbered)) throw new Error(numbered.kind);
    numbered.take(0);
    return tableOfPlans(numbered.snapshot, book);
  };
  const first = await next(0);
  t.ok(first.numbered.length >= 2);
  const second = await next(1);
  t.same(second.numbered, [], 'another body is no other plan');
  t.same([...second.ofRoute], [...first.ofRoute]);
  const third = await next(2, '  - { match: { path: /new }, upstream: team-0, via: edge }\n');
  t.ok(third.numbered.length > 0 && third.numbered.every(({ plan }) => JSON.stringify(plan).includes(' edge')));
  t.same(book.all().length, new Set(book.all().map(({ number }) => number)).size);
});

t.test('the generation is another one for whatever changes, and the same for what is written in another order', async (t) => {
  const { config } = await load(t, EVERYTHING);
  const generation = generationOf(config!, {});
  t.match(generation, /^[0-9a-f]{64}$/);
  const change = (edit: (route: Record<string, unknown>) => void): string => {
    const copy = structuredClone(config!);
    edit(copy.routes[0] as unknown as Record<string, unknown>);
    return generationOf(copy, {});
  };
  t.equal(
    change(() => {}),
    generation,
    'whether parts are shared or not',
  );
  const reversed = Object.fromEntries(Object.entries(config!).toReversed()) as unknown as NonNullable<typeof config>;
  t.equal(generationOf(reversed, {}), generation);
  const edits = new Set([
    generation,
    generationOf(config!, { '/a': 'b' }),
    change((route) => {
      route['priority'] = 'other';
    }),
    change((route) => {
      route['max_body'] = 12_345;
    }),
    change((route) => {
      route['timeouts'] = { ...(route['timeouts'] as RouteSnapshot), head: 12_345 };
    }),
  ]);
  t.equal(edits.size, 5);
});
