/**
 * The reactor's normaliser through the addon: what `routes test` shows is what a listener does.
 * `docs/design/normalisation.md` has all the rules.
 */

import t from 'tap';
import { addon, skip } from '../support/addon.ts';

t.test('a URL in another spelling comes back in its canonical form', { skip }, async (t) => {
  const normal = addon!.normalise('A.Test.:443', '/x/../%7euser//a?b=%2e', 'https', true, 'keep');
  t.same(normal, { authority: 'a.test', path: '/~user/a?b=%2E', complaint: '' });
});

t.test('the scheme says which port goes without saying, the options what is done with slashes', { skip }, async (t) => {
  t.equal(addon!.normalise('a.test:443', '/', 'http', true, 'keep').authority, 'a.test:443');
  t.equal(addon!.normalise('a.test', '//a', 'https', false, 'keep').path, '//a');
  t.equal(addon!.normalise('a.test', '/a%2fb', 'https', true, 'keep').path, '/a%2Fb');
  t.equal(addon!.normalise('a.test', '/a%2fb', 'https', true, 'reject').complaint, 'a slash or backslash is escaped');
});

t.test('what has no canonical form comes back as it is with a complaint', { skip }, async (t) => {
  const normal = addon!.normalise('a.test', '/../é', 'https', true, 'keep');
  t.same(normal, { authority: 'a.test', path: '/../é', complaint: 'a path leads above the root' });
  t.match(addon!.normalise('user@a.test', '/', 'https', true, 'keep').complaint, 'a name cannot');
});

t.test('an option that is none is an error', { skip }, async (t) => {
  t.throws(() => addon!.normalise('a.test', '/', 'https', true, 'decode'), { message: /decode/ });
});
