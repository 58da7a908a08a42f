/** Hosts and ports in the forms of URLs and heads. */

import t from 'tap';
import { bracketed, canonicalIPv6, hostPort, usualAuthority } from '../../src/base/authority.ts';

t.test('an IPv6 address stands in brackets, and in no more than one pair', async (t) => {
  t.same(['::1', '[::1]', 'fe80::1%eth0', '192.0.2.1', 'a.test'].map(bracketed), [
    '[::1]',
    '[::1]',
    '[fe80::1%eth0]',
    '192.0.2.1',
    'a.test',
  ]);
  t.equal(hostPort('2001:db8::1', 8443), '[2001:db8::1]:8443');
});

t.test('a port that goes without saying is not said, and each scheme has its own', async (t) => {
  t.equal(usualAuthority({ scheme: 'https', host: 'a.test', port: 443 }), 'a.test');
  t.equal(usualAuthority({ scheme: 'https', host: '::1', port: 80 }), '[::1]:80');
  t.equal(usualAuthority({ scheme: 'h2c', host: '::1', port: 80 }), '[::1]');
  t.equal(usualAuthority({ scheme: 'http', host: 'a.test', port: 443 }), 'a.test:443');
});

t.test('two spellings of an IPv6 address are one', async (t) => {
  t.equal(canonicalIPv6('2001:DB8:0:0::0:1'), '2001:db8::1');
  t.equal(canonicalIPv6('::ffff:192.0.2.1'), '::ffff:c000:201');
});
