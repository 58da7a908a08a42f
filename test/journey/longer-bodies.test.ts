/**
 * Requests whose body turns out longer than announced when it is too late for an answer (RFC 9114
 * §4.1.2).
 */

import t from 'tap';
import { connectAioquic, getHead, missingAioquic, type RawHeaders } from '../support/client/aioquic.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const H3_MESSAGE_ERROR = 0x10e;

t.test(
  'a body that turns out longer than announced when the response has begun resets the stream, whatever the backend speaks',
  { skip: missingAddon || missingAioquic },
  async (t) => {
    const h1 = await startH1Origin(t, (request, response) => {
      request.resume();
      response.write('begun');
    });
    const h2 = await startH2Origin(t, (stream) => {
      stream.resume();
      stream.respond({ ':status': 200 });
      stream.write('begun');
    });
    for (const { url } of [h1, h2]) {
      const edge = await startEdge(t, { backends: [url] });
      const client = await connectAioquic(t, edge.port);
      const announced: RawHeaders = [[':method', 'POST'], ...getHead(edge.port).slice(1), ['content-length', '3']];
      const stream = await client.request(announced, { fin: false });
      t.equal(await client.status(stream), 200);
      await client.order('frame', { stream, type: 0, hex: Buffer.from('four').toString('hex') });
      const reset = await client.wait('reset', stream);
      t.equal(reset.code, H3_MESSAGE_ERROR);
      t.match(await until('the access line', () => edge.access()[0]), { status: 200, reason: 'request_length_mismatch' });
    }
  },
);
