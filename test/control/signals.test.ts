import { EventEmitter } from 'node:events';
import t from 'tap';
import { listenForSignals } from '../../src/control/signals.ts';

t.test('the first signal asks and the second ends the process with 128 and its number', async (t) => {
  const target = new EventEmitter();
  const exits: number[] = [];
  const signals = listenForSignals(target as unknown as NodeJS.Process, (status) => exits.push(status));
  target.emit('SIGTERM', 'SIGTERM');
  t.equal(await signals.asked, 'SIGTERM');
  t.same(exits, []);
  target.emit('SIGINT', 'SIGINT');
  target.emit('SIGTERM', 'SIGTERM');
  t.same(exits, [130, 143]);
});

t.test('after stop the signals are Node’s again', async (t) => {
  const target = new EventEmitter();
  listenForSignals(target as unknown as NodeJS.Process, () => {}).stop();
  t.same(target.eventNames(), []);
});
