/** A browser speaks HTTP/3 to the edge and shows the page, scripts and fetches included. */

import t from 'tap';
import { makeAuthority } from '../support/authority.ts';
import { dumpPage, missingChromium } from '../support/client/chromium.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, byPath } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';

const PAGE = `<!doctype html><title>t</title><body><script type="module">
  const posted = await (await fetch('/echo', { method: 'POST', body: 'x'.repeat(200000) })).text();
  const protocol = performance.getEntriesByType('navigation')[0].nextHopProtocol;
  document.body.textContent = [protocol, posted.length].join(' ');
</script>`;

t.test('Chromium loads a page over HTTP/3 and posts from it', { skip: missingAddon || missingChromium, timeout: 60_000 }, async (t) => {
  const origin = await startH2Origin(
    t,
    byPath({
      '/': answers(PAGE, 200, { 'content-type': 'text/html' }),
      '/echo': (stream) => {
        stream.respond({ ':status': 200 });
        stream.pipe(stream);
      },
    }),
  );
  const edge = await startEdge(t, { backends: [origin.url], isLeakChecked: false });
  const page = await dumpPage(edge.port, '/');
  t.match(page, 'h3 200000');
});

t.test(
  'Chromium shows no certificate over HTTP/3: it is served where one is optional, and not where it is required',
  { skip: missingAddon || missingChromium, timeout: 120_000 },
  async (t) => {
    const origin = await startH2Origin(t, byPath({ '/': answers(PAGE, 200, { 'content-type': 'text/html' }), '/echo': answers('x', 200) }));
    const ca = [makeAuthority(t.testdir(), 'own').ca];
    const client_certificates = [
      { names: ['optional.test'], mode: 'optional', ca },
      { names: ['required.test'], mode: 'required', ca },
    ];
    const edge = await startEdge(t, { backends: [origin.url], listener: { client_certificates }, isLeakChecked: false });
    t.match(await dumpPage(edge.port, '/', 5_000, 'optional.test'), 'h3 ');
    t.notMatch(await dumpPage(edge.port, '/', 5_000, 'required.test').catch(() => ''), 'h3 ');
    const metrics = await edge.metrics();
    t.ok(metrics.sum('lychgate_client_certificates_total', { result: 'absent' }) > 0);
    t.ok(metrics.sum('lychgate_client_certificates_refused_total', { reason: 'missing' }) > 0);
  },
);
