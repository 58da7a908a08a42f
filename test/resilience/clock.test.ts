/** Clocks: the one of the system, and the one that tests move. */

import t from 'tap';
import { createManualClock, systemClock } from '../../src/resilience/index.ts';

t.test('a manual clock does what is due in its order, also what becomes due on the way', async (t) => {
  const clock = createManualClock(0);
  const done: string[] = [];
  clock.after(20, () => done.push(`late at ${clock.now()}`));
  clock.after(10, () => {
    done.push(`early at ${clock.now()}`);
    clock.after(5, () => done.push(`then at ${clock.now()}`));
  });
  const cancel = clock.after(12, () => t.fail('cancelled'));
  cancel();
  clock.advance(18);
  t.same(done, ['early at 10', 'then at 15']);
  t.equal(clock.pending, 1);
  clock.advance(2);
  t.same(done.at(-1), 'late at 20');
});

t.test('the clock of the system goes with the epoch, and what is cancelled does not happen', async (t) => {
  t.ok(Math.abs(systemClock.now() - Date.now()) < 60_000);
  systemClock.after(0, () => t.fail('cancelled'))();
  systemClock.after(2 ** 33, () => t.fail('not for months'))();
  await new Promise<void>((resolve) => systemClock.after(1, resolve));
});
