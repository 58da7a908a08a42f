import t from 'tap';
import { createRestartDelay } from '../../src/control/shards/restart-delay.ts';

t.test('the first death is repaired at once and further ones ever more slowly, up to five seconds', async (t) => {
  const delay = createRestartDelay();
  t.same(
    Array.from({ length: 9 }, () => delay.next(1)),
    [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000],
  );
});

t.test('a worker that lived for a while clears the record', async (t) => {
  const delay = createRestartDelay();
  delay.next(1);
  delay.next(1);
  t.equal(delay.next(60_000), 0);
  t.equal(delay.next(1), 100);
});
