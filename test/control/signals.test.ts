import { EventEmitter } from 'node:events';
import t from 'tap';
import { listenForSignals } from '../../src/control/signals.ts';

function listen(isTerminal: boolean) {
  const target = new EventEmitter();
  const cuts: number[] = [];
  const exits: number[] = [];
  const heard = { hangups: 0, userSignals: [] as string[] };
  const signals = listenForSignals(target as unknown as NodeJS.Process, {
    isTerminal,
    cut: (status) => cuts.push(status),
    exit: (status) => exits.push(status),
    onHangup: () => {
      heard.hangups += 1;
    },
    onUserSignal: (signal) => heard.userSignals.push(signal),
  });
  return { target, cuts, exits, heard, signals, send: (signal: string) => target.emit(signal, signal) };
}

t.test('the first signal asks, the second cuts and the third ends the process, with 128 and its number', async (t) => {
  const { cuts, exits, signals, send } = listen(false);
  send('SIGTERM');
  t.equal(await signals.asked, 'SIGTERM');
  t.same(cuts, []);
  send('SIGINT');
  t.same(cuts, [130]);
  t.same(exits, []);
  send('SIGTERM');
  t.same(cuts, [130]);
  t.same(exits, [143]);
});

t.test('SIGHUP is only heard where no terminal is, also during a drain', async (t) => {
  const { exits, heard, signals, send } = listen(false);
  send('SIGHUP');
  send('SIGTERM');
  t.equal(await signals.asked, 'SIGTERM');
  send('SIGHUP');
  t.equal(heard.hangups, 2);
  t.same(exits, []);
});

t.test('SIGHUP asks where it means that the terminal has gone', async (t) => {
  const { heard, signals, send } = listen(true);
  send('SIGHUP');
  t.equal(await signals.asked, 'SIGHUP');
  t.equal(heard.hangups, 0);
});

t.test('SIGUSR1 and SIGUSR2 are heard and ask for nothing', async (t) => {
  const { exits, heard, signals, send } = listen(false);
  send('SIGUSR1');
  send('SIGUSR2');
  send('SIGTERM');
  t.equal(await signals.asked, 'SIGTERM');
  t.same(heard.userSignals, ['SIGUSR1', 'SIGUSR2']);
  t.same(exits, []);
});

t.test('after stop the signals are Node’s again', async (t) => {
  const { target, signals } = listen(false);
  signals.stop();
  t.same(target.eventNames(), []);
});
