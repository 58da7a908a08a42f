import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, isSilent } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/resilience.md'), 'utf8');

t.test('the breaker of the worked example opens, is probed and closes as resilience.md tells', { skip: missingAddon }, async (t) => {
  const ill = await startH2Origin(t, answers('ill', 503));
  const well = await startH2Origin(t, answers('well'));
  const [configuration = ''] = blocksOf('yaml');
  const [told = ''] = blocksOf('text');
  const { upstreams, routes } = parse(configuration.replace('h2c://127.0.0.1:9001', ill.url).replace('h2c://127.0.0.1:9002', well.url));
  const edge = await startEdge(t, { backends: [ill.url], config: { upstreams, routes } });
  const client = await connectH3(t, edge.port);
  const happened = () => edge.log.filter((line) => String(line['event']).startsWith('breaker_'));

  let failed = 0;
  await until('it was probed once, in vain', async () => {
    if ((await client.exchange()).status !== 200) failed += 1;
    return happened().length === 3;
  });
  t.equal(failed, 4);
  ill.behave = answers('well again');
  await until('it is back', async () => {
    t.equal((await client.exchange()).status, 200);
    return happened().length === 5;
  });
  t.strictSame(
    happened().map(({ event, upstream, backend, reason }) => [event, upstream, backend, reason].filter(Boolean).join(' ')),
    told
      .trim()
      .split('\n')
      .map((line) => line.replace('h2c://127.0.0.1:9001', ill.url).replace(/ +/g, ' ')),
  );
});

t.test(
  'the route of the second example hides a backend that fails, one that is silent, and the loss of both',
  { skip: missingAddon },
  async (t) => {
    const ill = await startH2Origin(t, answers('ill', 503));
    const well = await startH2Origin(t, answers('well'));
    const [, configuration = ''] = blocksOf('yaml');
    const { upstreams, routes } = parse(configuration.replace('h2c://127.0.0.1:9001', ill.url).replace('h2c://127.0.0.1:9002', well.url));
    const edge = await startEdge(t, { backends: [], config: { upstreams, routes } });
    const client = await connectH3(t, edge.port);

    for (let i = 0; i < 4; i++) t.match(await client.exchange(), { status: 200, text: 'well' });
    t.ok(ill.requests > 0, 'it was asked');
    ill.behave = isSilent;
    for (let i = 0; i < 2; i++) t.match(await client.exchange(), { status: 200, text: 'well' });
    ill.kill();
    well.kill();
    t.match(await client.exchange(), {
      status: 503,
      text: routes[0].fallback.respond.body,
      headers: { 'retry-after': '30', 'x-lychgate-fallback': '1' },
    });
  },
);

/** Contents of the page's blocks of a language. */
function blocksOf(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, content = '']) => content);
}
