/**
 * Ways to die, for tests that watch a shard being replaced. Nothing of this exists in a shard
 * unless the process was started for tests (`LYCHGATE_TEST_FAULTS=1`).
 */
import type { BindingAddon } from '../native/binding.ts';
import type { Fault } from './port.ts';

export interface Faults {
  /** Strikes now, or lies in wait for the lane's next call. */
  order(fault: Fault, at: string): void;
  /** Called before each call of the lane. */
  strikeInDecide(): void;
}

export function createFaults(addon: Pick<BindingAddon, 'plantPanic'>): Faults {
  let waiting: Fault | undefined;
  return {
    order(fault, at) {
      if (fault === 'panic') addon.plantPanic(at);
      else if (at === 'now') strike(fault);
      else waiting = fault;
    },
    strikeInDecide() {
      if (waiting !== undefined) strike(waiting);
    },
  };
}

function strike(fault: Fault): never {
  if (fault === 'throw') throw new Error('ordered to throw');
  if (fault === 'exit') process.exit(3);
  const hoard: unknown[] = [];
  for (;;) if (fault === 'oom') hoard.push(new Array(10_000).fill(hoard.length));
}
