/** Nothing is held back: an event is with the client before the backend has sent the next. */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test('each event arrives before the next one is sent', { skip: missingAddon }, async (t) => {
  let send: (text: string) => void = () => {};
  const origin = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
    send = (text) => void (text === '' ? stream.end() : stream.write(text));
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);

  const opened = await client.open();
  let got = '';
  opened.stream.on('data', (chunk: Buffer) => {
    got += chunk.toString();
  });
  t.equal((await opened.head)['content-type'], 'text/event-stream', 'the head does not wait for a body');

  let wanted = '';
  for (let place = 0; place < 20; place += 1) {
    const event = `data: ${place}\n\n`;
    wanted += event;
    send(event);
    await until(`event ${place}`, () => got === wanted);
  }
  send('');
  await until('the end', () => opened.stream.readableEnded);
  t.equal(got, wanted);
});
