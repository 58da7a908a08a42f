import { readFileSync } from 'node:fs';
import type { ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { connectH3, type H3Response } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/limits.md'), 'utf8');

t.test('the worked example of limits.md does what the page tells', { skip: missingAddon }, async (t) => {
  const held: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => void held.push(stream));
  const [configuration = ''] = blocksOf('yaml');
  const [limited = '', full = ''] = blocksOf('http');
  const { upstreams, routes } = parse(configuration.replace('h2c://127.0.0.1:9001', origin.url));
  const edge = await startEdge(t, { backends: [origin.url], config: { upstreams, routes } });
  const client = await connectH3(t, edge.port);

  const over: H3Response[] = [];
  const search = Array.from({ length: 5 }, async () => {
    const response = await client.exchange({ path: '/search' });
    if (response.status !== 200) over.push(response);
    return response;
  });
  await until('two are refused, two at the backend', () => over.length === 2 && held.length === 2);
  for (const response of over) agree(response, limited);
  t.match(await edge.ask('/v1/limits'), {
    places: [{ kind: 'upstream', name: 'web', inFlight: 2, waiting: 1 }],
    rateLimits: [{ name: 'per-client', refused: 2 }],
  });

  agree(await client.exchange({ path: '/' }), full);
  const answer = (): void => answers('found')(held.shift()!, {});
  answer();
  await until('the one that waited is at the backend', () => held.length === 2);
  const next = client.exchange({ path: '/' });
  await until('the next waits', async () => (await edge.metrics()).sum('lychgate_places_waited_for') === 1);
  for (let i = 0; i < 3; i++) {
    await until('one is at the backend', () => held.length > 0);
    answer();
  }
  t.equal((await next).status, 200);
  t.equal((await Promise.all(search)).filter(({ status }) => status === 200).length, 3);

  /** Status and fields of an answer as the page writes them. */
  function agree(response: H3Response, text: string): void {
    const [first = '', ...fields] = text.trim().split('\n');
    t.equal(`HTTP/3 ${response.status}`, first);
    for (const field of fields) {
      const [name = '', value = ''] = field.split(/: (.*)/);
      t.equal(response.headers[name], value, name);
    }
  }
});

/** Contents of the page's blocks of a language. */
function blocksOf(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, content = '']) => content);
}
