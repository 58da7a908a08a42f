import t from 'tap';
import { createLog } from '../../src/observe/log.ts';

function capture(isText: boolean) {
  const lines: string[] = [];
  return { lines, log: createLog({ level: 'info', isText, stream: { write: (line) => void lines.push(line) } }) };
}

t.test('a line names its target and its level', async (t) => {
  const { lines, log } = capture(false);
  log.target('shards').info({ shard: 1 }, 'shard ready');
  t.match(JSON.parse(lines[0] ?? ''), { level: 'info', target: 'shards', shard: 1, msg: 'shard ready', time: /^\d{4}-/ });
});

t.test('secrets do not reach a line', async (t) => {
  const { lines, log } = capture(false);
  log.target('x').info({ token: 's3cret', listener: { keyPem: 's3cret' }, headers: { authorization: 's3cret' } }, 'said');
  t.notMatch(lines.join(''), 's3cret');
  t.match(lines.join(''), '[redacted]');
});

t.test('text for a terminal has the same facts on one line', async (t) => {
  const { lines, log } = capture(true);
  log.target('drain').warn({ cut: 2, reason: 'SIGTERM', err: new Error('why') }, 'drain ended');
  t.match(lines[0], /^\d\d:\d\d:\d\d\.\d{3} warn {2}drain {5}drain ended cut=2 reason=SIGTERM error="why"\n$/);
});

t.test('an announcement is said whatever the level is', async (t) => {
  const { lines, log } = capture(false);
  log.setLevel('silent');
  log.target('edge').fatal('not said');
  log.announce({ address: '127.0.0.1:1' }, 'ready');
  t.equal(lines.length, 1);
  t.match(JSON.parse(lines[0] ?? ''), { msg: 'ready', address: '127.0.0.1:1', level: 'info' });
});
