import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  ADMIN_ERRORS,
  createError,
  errorEntry,
  LychgateError,
  PROCESS_ERRORS,
  REASONS,
  reasonByNumber,
  reasonNumber,
} from '../../src/base/errors.ts';
import { DEADLINE_EXCEEDED, grpcStatusOf } from '../../src/lane/answer/grpc.ts';
import { loadAddon } from '../../src/native/load.ts';

const root = join(import.meta.dirname, '../..');

t.test('a gRPC client is told what it would make of the status by itself, or that a deadline has passed', async (t) => {
  for (const { code, status, grpcStatus } of REASONS) {
    t.equal(grpcStatus, code === 'exchange_timeout' ? DEADLINE_EXCEEDED : grpcStatusOf(status), code);
  }
});

t.test('numbers and codes are unique and reasons fit their table', async (t) => {
  const rows = [...REASONS, ...PROCESS_ERRORS, ...ADMIN_ERRORS];
  t.equal(new Set(rows.map(({ number }) => number)).size, rows.length);
  t.equal(new Set(rows.map(({ code }) => code)).size, rows.length);
  t.ok(REASONS.every(({ number }) => number < 128));
  t.ok([...PROCESS_ERRORS, ...ADMIN_ERRORS].every(({ number }) => number >= 128));
});

t.test('a reason is found by its number, and an unknown number is internal', async (t) => {
  for (const row of REASONS) t.equal(reasonByNumber(row.number), row);
  for (const number of [15, 127, 128, 4_294_967_295, -1]) t.equal(reasonByNumber(number).code, 'lane_failed');
  t.equal(reasonNumber('overloaded'), 65);
});

t.test('an error carries its code, facts and cause', async (t) => {
  const cause = new Error('EADDRINUSE');
  const error = createError('listen_failed', '127.0.0.1:8443 is in use', { address: '127.0.0.1:8443' }, cause);
  t.ok(error instanceof LychgateError);
  t.match(error, { code: 'listen_failed', side: 'config', retry: 'never', status: 0, context: { address: '127.0.0.1:8443' }, cause });
  t.equal(error.message, '127.0.0.1:8443 is in use');
  t.equal(createError('connect_timeout').message, errorEntry('connect_timeout').title);
});

const isAddonBuilt = readdirSync(join(root, 'native')).some((name) => name.endsWith('.node'));

t.test('the reactor knows the same reasons', { skip: isAddonBuilt ? false : 'the addon is not built (make native)' }, async (t) => {
  t.same(
    loadAddon()
      .reasons()
      .map(({ number, code, grpcStatus }) => [number, code, grpcStatus]),
    REASONS.map((entry) => [entry.number, entry.code, entry.grpcStatus]),
  );
});
