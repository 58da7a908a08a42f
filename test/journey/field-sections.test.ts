/**
 * What backends and clients send becomes a valid field section: one content-length, a date, one
 * cookie, whatever came.
 */

import t from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { dumpPage, missingChromium } from '../support/client/chromium.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, byPath, tellsFields } from '../support/origin/behaviours.ts';
import { startH1Origin, startRawOrigin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { startScriptedOrigin } from '../support/origin/scripted.ts';

const skip = missingAddon || missingAioquic;
const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT';
const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;

/**
 * Path, status line, fields, body; what the client gets: interim fields, status, content-lengths.
 */
const RESPONSES: readonly (readonly [string, number, readonly (readonly [string, string])[], string, number, readonly string[]])[] = [
  [
    '/twice',
    200,
    [
      ['content-length', '4'],
      ['content-length', '4'],
    ],
    'body',
    200,
    ['4'],
  ],
  [
    '/differing',
    200,
    [
      ['content-length', '4'],
      ['content-length', '5'],
    ],
    'body',
    502,
    [],
  ],
  ['/none', 204, [['content-length', '0']], '', 204, []],
  ['/none-but-said', 204, [['content-length', '4']], '', 204, []],
];

for (const kind of ['h1', 'h2'] as const) {
  t.test(`a backend's content-length goes on once, and not where none may stand (${kind})`, { skip }, async (t) => {
    const paths: string[] = [];
    const chosen = (path: string) => RESPONSES.find((row) => row[0] === path) ?? RESPONSES[0];
    const origin =
      kind === 'h1'
        ? await startRawOrigin(t, (socket, head) => {
            const [, status, fields, body] = chosen(head.split(' ')[1] ?? '') ?? ['', 500, [], ''];
            socket.write(`HTTP/1.1 103 Early Hints\r\ncontent-length: 0\r\nlink: </a>\r\n\r\n`);
            socket.write(`HTTP/1.1 ${status} x\r\n${fields.map((field) => `${field.join(': ')}\r\n`).join('')}\r\n${body}`);
          })
        : await startScriptedOrigin(t, (peer, stream) => {
            const [, status, fields, body] = chosen(paths.shift() ?? '') ?? ['', 500, [], ''];
            peer.fields(stream, [
              [':status', '103'],
              ['content-length', '0'],
              ['link', '</a>'],
            ]);
            peer.fields(stream, [[':status', `${status}`], ...fields], body === '');
            if (body !== '') peer.data(stream, Buffer.from(body), true);
          });
    const edge = await startEdge(t, { backends: [origin.url], route: { retries: { attempts: 0 } } });
    const client = await connectAioquic(t, edge.port);
    for (const [path, , , , status, lengths] of RESPONSES) {
      paths.push(path);
      const stream = await client.request(getHead(edge.port, path));
      t.equal(await client.status(stream), status, path);
      const { headers = [] } = await client.wait('headers', stream);
      const interim = await client.wait('interim', stream);
      t.strictSame(
        interim.headers?.map(([name]) => name),
        [':status', 'link', 'x-request-id'],
        'an interim response has neither length nor date',
      );
      await client.wait('end', stream);
      const said = headers.filter(([name]) => name === 'content-length').map(([, value]) => value);
      if (status !== 502) t.strictSame(said, lengths, path);
      t.equal(headers.filter(([name, value]) => name === 'date' && IMF_FIXDATE.test(value)).length, 1, 'a date is added');
    }
    t.equal((await edge.metrics()).sum('lychgate_connections'), 1, 'the connection goes on');
  });

  t.test(`a client's content-length goes on once, and costs the backend nothing (${kind})`, { skip }, async (t) => {
    const origin =
      kind === 'h1'
        ? await startH1Origin(t, (request, response) => {
            request.resume().on('end', () => response.end(JSON.stringify(request.rawHeaders)));
          })
        : await startH2Origin(t, (stream, headers) => {
            stream.resume().on('end', () => {
              stream.respond({ ':status': 200 });
              stream.end(JSON.stringify(headers));
            });
          });
    const edge = await startEdge(t, { backends: [origin.url] });
    const client = await connectAioquic(t, edge.port);
    for (let turn = 0; turn < 12; turn += 1) {
      const head = getHead(edge.port).map(([name, value]) => [name, name === ':method' ? 'POST' : value] as [string, string]);
      const stream = await client.request([...head, ['content-length', '4'], ['x-between', '1'], ['content-length', '4']], {
        body: 'body',
      });
      t.equal(await client.status(stream), 200);
      const told = (await client.wait('data', stream)).text ?? '';
      t.equal(told.match(/content-length/gi)?.length, 1, told);
    }
    t.equal((await edge.metrics()).sum('lychgate_upstream_resets_total', { direction: 'in' }), 0, 'no backend had to reset it');
  });
}

// Not by aioquic, which waits for the body that a 304 does not have.
t.test('the content-length of a 304 goes on once', { skip: missingAddon }, async (t) => {
  const origin = await startRawOrigin(t, (socket) => socket.write('HTTP/1.1 304 x\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\n'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange(), { status: 304, headers: { 'content-length': '4' } });
});

t.test('a date of the backend stays, and answers of the edge itself have one', { skip }, async (t) => {
  const origin = await startRawOrigin(t, (socket) => socket.write(`HTTP/1.1 200 x\r\ncontent-length: 0\r\ndate: ${DATE}\r\n\r\n`));
  const edge = await startEdge(t, {
    backends: [origin.url],
    config: {
      routes: [
        { match: { path: '/empty' }, respond: { status: 204 } },
        { match: { path: '/own' }, respond: { status: 200, body: 'own' } },
        { match: { path: '/' }, upstream: 'web' },
      ],
    },
  });
  const client = await connectAioquic(t, edge.port);
  const fieldsOf = async (path: string): Promise<Record<string, string[]>> => {
    const stream = await client.request(getHead(edge.port, path));
    const { headers = [] } = await client.wait('headers', stream);
    await client.wait('end', stream);
    return Object.fromEntries(headers.map(([name]) => [name, headers.filter((field) => field[0] === name).map((field) => field[1])]));
  };
  t.strictSame((await fieldsOf('/dated'))['date'], [DATE]);
  const own = await fieldsOf('/own');
  t.match(own, { 'content-length': ['3'], date: [IMF_FIXDATE] });
  const empty = await fieldsOf('/empty');
  t.match(empty, { ':status': ['204'], date: [IMF_FIXDATE] });
  t.equal(empty['content-length'], undefined);
});

for (const kind of ['h1', 'h2'] as const) {
  t.test(`the crumbs of a cookie count as one field, and a backend gets one (${kind})`, { skip }, async (t) => {
    const origin =
      kind === 'h1'
        ? await startH1Origin(t, (request, response) => response.end(JSON.stringify(request.rawHeaders.filter((_, at) => at % 2 === 1))))
        : await startH2Origin(t, tellsFields);
    const edge = await startEdge(t, { backends: [origin.url] });
    const client = await connectAioquic(t, edge.port);
    const ask = (count: number, value: (n: number) => string) =>
      client.request([
        ...getHead(edge.port),
        ...Array.from({ length: count }, (_, n) => ['cookie', value(n)] as [string, string]),
        ['x-last', 'last'],
      ]);
    const cookie = (n: number): string => `c${n}=`.padEnd(60, 'x');
    const stream = await ask(180, cookie);
    t.equal(await client.status(stream), 200);
    await client.wait('end', stream);
    const told = client.events.flatMap((event) => (event.event === 'data' && event.stream === stream ? [event.text ?? ''] : [])).join('');
    t.ok(told.includes(Array.from({ length: 180 }, (_, n) => cookie(n)).join('; ')), 'one cookie, in order');
    t.ok(told.includes('last'));

    t.equal(await client.status(await ask(512, () => 'a')), 200);
    t.equal(await client.status(await ask(513, () => 'a')), 431);
    t.equal(await client.status(await ask(100_000, () => 'a')), 431);
    t.equal(await client.status(await ask(300, cookie)), 431, 'their text counts towards the size of the head');
  });
}

t.test('Chromium with 180 cookies of 60 bytes is answered', { skip: missingAddon || missingChromium, timeout: 60_000 }, async (t) => {
  const page = `<!doctype html><title>t</title><body><script type="module">
    for (let n = 0; n < 180; n += 1) document.cookie = ('c' + n + '=').padEnd(60, 'x') + '; path=/';
    const answer = await fetch('/count');
    document.body.textContent = [answer.status, await answer.text()].join(' ');
  </script>`;
  const origin = await startH2Origin(
    t,
    byPath({
      '/': answers(page, 200, { 'content-type': 'text/html' }),
      '/count': (stream, headers) => {
        stream.respond({ ':status': 200 });
        stream.end(`${`${headers['cookie']}`.split('; ').length} cookies`);
      },
    }),
  );
  const edge = await startEdge(t, { backends: [origin.url], isLeakChecked: false });
  t.match(await dumpPage(edge.port, '/'), '200 180 cookies');
});
