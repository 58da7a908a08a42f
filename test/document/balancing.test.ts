import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { setBackendWeight, setTargetWeight } from '../../src/lane/balance/weights.ts';
import { load } from '../config/support/configuration.ts';
import { type LaneStand, standLane } from '../support/lanes.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/balancing.md'), 'utf8');

t.test('users of the worked example of balancing.md go where the page says', async (t) => {
  const configuration = blocksOf('yaml').find((block) => block.startsWith('version:')) ?? '';
  const { snapshot, problems } = await load(t, configuration);
  t.strictSame(problems, []);
  if (snapshot === undefined) return;

  const stand = standLane(snapshot);
  const rows = [...PAGE.matchAll(/^\| ([a-z]+)(?: \| 10\.0\.0\.\d){3} \|$/gm)];
  const users = rows.map(([, user = '']) => user);
  t.ok(users.length >= 8);
  const hosts = () => users.map((user) => hostOf(stand, user));

  const first = hosts();
  setTargetWeight(stand.shared.weights, 0, 0, 60);
  setTargetWeight(stand.shared.weights, 0, 1, 40);
  const second = hosts();
  setBackendWeight(stand.shared.weights, 0, 0);
  const third = hosts();
  t.strictSame(
    users.map((user, i) => `| ${user} | ${first[i]} | ${second[i]} | ${third[i]} |`),
    rows.map(([line]) => line),
  );

  function hostOf(stand: LaneStand, user: string): string {
    const [decision] = stand.ask({ fields: [['cookie', `user=${user}`]] });
    return decision?.kind === 'forward' ? (snapshot?.backends[decision.slot]?.host ?? '') : '';
  }
});

t.test('the policies of balancing.md are those there are', async (t) => {
  const named = new Set([...PAGE.matchAll(/^\| `([a-z-]+)`/gm)].map(([, name]) => name));
  for (const policy of ['random', 'round-robin', 'least-request', 'peak-ewma', 'ring-hash', 'maglev']) t.ok(named.has(policy), policy);
});

/** Contents of the page's blocks of a language. */
function blocksOf(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, content = '']) => content);
}
