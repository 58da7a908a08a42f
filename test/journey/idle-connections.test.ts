/** Connections that are only there: they cost memory, not time, and still work when they are wanted. */

import t from 'tap';
import { connectH3, type H3Client } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { residentBytes } from '../support/process.ts';

// The figure for 10,000 connections is measured by `make bench`; this is the behaviour, with as many as a JavaScript client bears.
const COUNT = 200;

t.test(`${COUNT} idle connections are held and answer when asked again`, { skip: missingAddon, timeout: 120_000 }, async (t) => {
  const origin = await startH2Origin(t, answers('still here'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const before = residentBytes(edge.pid);
  const clients: H3Client[] = [];
  for (let place = 0; place < COUNT; place += 1) {
    const client = await connectH3(t, edge.port);
    await client.exchange();
    clients.push(client);
  }
  t.equal((await edge.metrics()).sum('lychgate_connections'), COUNT);
  const each = (residentBytes(edge.pid) - before) / COUNT / 1024;
  t.comment(`${each.toFixed(0)} KiB of resident memory each`);
  const responses = await Promise.all(clients.map((client) => client.exchange()));
  t.ok(responses.every((response) => response.text === 'still here'));
  await Promise.all(clients.map((client) => client.close()));
});
