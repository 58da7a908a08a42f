import t from 'tap';
import {
  EDITED_NAME_RULE,
  GRPC_STATUS_RULE,
  grpcStatusesOf,
  REMOVED_NAME_RULE,
  STATUSES_RULE,
  statusesOf,
} from '../../src/config/schema/fields.ts';
import { KEY_RULE, keyOf } from '../../src/config/schema/key.ts';
import { NETWORK_RULE } from '../../src/config/schema/network.ts';
import { groupsOf, highestGroup, PATTERN_RULE, REPLACEMENT_RULE } from '../../src/config/schema/pattern.ts';
import { AUTHORITY_RULE, MATCH_PATH_RULE } from '../../src/config/schema/rules.ts';
import type { TextRule } from '../../src/config/schema/values.ts';
import { EDIT_VALUE_RULE } from '../../src/config/schema/variables.ts';

/** Each text with its normal form; undefined where it is refused. */
function check(t: import('tap').Test, rule: TextRule, forms: Readonly<Record<string, string | undefined>>): void {
  for (const [given, normal] of Object.entries(forms)) t.equal(rule.normalise(given), normal, given);
}

t.test('networks have one spelling', async (t) => {
  check(t, NETWORK_RULE, {
    '10.1.2.3': '10.1.2.3/32',
    '10.1.2.3/8': '10.0.0.0/8',
    '0.0.0.0/0': '0.0.0.0/0',
    '255.255.255.255/31': '255.255.255.254/31',
    '::': '::/128',
    '::/0': '::/0',
    '2001:DB8::1:0:0:1/64': '2001:db8::/64',
    '2001:db8:1:2:3:4:5:6/127': '2001:db8:1:2:3:4:5:6/127',
    'ffff::ffff/9': 'ff80::/9',
    '::ffff:192.0.2.1': '::ffff:c000:201/128',
    '10.0.0.0/33': undefined,
    '::/129': undefined,
    '10.0.0': undefined,
    '10.0.0.0/': undefined,
    'fe80::1%eth0': undefined,
    localhost: undefined,
  });
});

t.test('statuses are numbers, ranges and classes', async (t) => {
  check(t, STATUSES_RULE, {
    '503': '503',
    '502-504': '502-504',
    '5xx': '500-599',
    '4XX': '400-499',
    '500-500': '500',
    '504-502': undefined,
    '99': undefined,
    '6xx': undefined,
    '100-600': undefined,
    ok: undefined,
  });
  t.same(statusesOf(['504', '502-503', '503']), [502, 503, 504]);
});

t.test('gRPC statuses have names and numbers', async (t) => {
  check(t, GRPC_STATUS_RULE, {
    '14': 'unavailable',
    UNAVAILABLE: 'unavailable',
    'deadline-exceeded': 'deadline_exceeded',
    '0': undefined,
    ok: undefined,
    '17': undefined,
    gone: undefined,
  });
  t.same(grpcStatusesOf(['unavailable', 'cancelled', 'unavailable']), [1, 14]);
});

t.test('keys are written in one way and read back', async (t) => {
  check(t, KEY_RULE, {
    client: 'client',
    'client/32': 'client',
    'client/24': 'client/24',
    'client/24, 56': 'client/24,56',
    'client/32,64': 'client',
    'client/24,64': 'client/24',
    'client/32,128': 'client/32,128',
    'client/0': undefined,
    'client/33': undefined,
    'client/24,129': undefined,
    'header:X-User': 'header:x-user',
    'header:': undefined,
    'header:a b': undefined,
    'cookie:Session': 'cookie:Session',
    'query:id': 'query:id',
    'query:a=b': undefined,
    route: 'route',
    ip: undefined,
  });
  t.same(keyOf('client/24,56'), { kind: 'client', name: '', prefix4: 24, prefix6: 56 });
  t.same(keyOf('cookie:Session'), { kind: 'cookie', name: 'Session', prefix4: 32, prefix6: 128 });
});

t.test('patterns are RE2: linear, so without back-references and look-around', async (t) => {
  check(t, PATTERN_RULE, { '^/v[0-9]+$': '^/v[0-9]+$', '(a)\\1': undefined, '(?=a)': undefined, '(': undefined, '': undefined });
  t.equal(groupsOf('(a)(?:b)(?P<name>c)'), 2);
  t.equal(highestGroup('/$1/x/$3'), 3);
  check(t, REPLACEMENT_RULE, { '/a/$1': '/a/$1', '': '', '/a$': undefined, '/a?b=$1': '/a?b=$1', '/a#b': undefined, '/$0': undefined });
});

t.test('variables are known or refused', async (t) => {
  check(t, EDIT_VALUE_RULE, {
    '${client_address}': '${client_address}',
    'a ${header:X-User} b': 'a ${header:X-User} b',
    '${route}/${upstream}/${backend}': '${route}/${upstream}/${backend}',
    'costs $5': 'costs $5',
    '': '',
    '${nothing}': undefined,
    '${header:}': undefined,
    '${client_address': undefined,
    'ends in space ': undefined,
    'two\nlines': undefined,
    ü: undefined,
  });
});

t.test('paths of routes are spelled as heads are after normalisation', async (t) => {
  check(t, MATCH_PATH_RULE, {
    '/%7euser': '/~user',
    '/a%2fb': '/a%2Fb',
    '/.well-known': '/.well-known',
    '/a/..': undefined,
    '/./a': undefined,
    '/%2e%2e/a': undefined,
  });
});

t.test('fields of one connection are not edited, and names are written without globs', async (t) => {
  const reserved = ['Connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'HTTP2-Settings'];
  const never = [...reserved, 'content-length', 'host', ':path', '', 'a b'].map((name) => [name, undefined] as const);
  const globs = ['*', 'x-*', '*-id', 'x-*-id'];
  check(t, EDITED_NAME_RULE, Object.fromEntries([...never, ...globs.map((name) => [name, undefined]), ['X-User', 'x-user']]));
  check(t, REMOVED_NAME_RULE, Object.fromEntries([...never, ...globs.map((name) => [name, name]), ['X-User', 'x-user']]));
});

t.test('an authority has a host and at most a port', async (t) => {
  check(t, AUTHORITY_RULE, {
    keep: 'keep',
    'A.Test': 'a.test',
    'a.test:080': 'a.test:80',
    '[::1]:8080': '[::1]:8080',
    '*': undefined,
    'a.test:0': undefined,
    'a.test:': undefined,
  });
});
