/**
 * Standard output's writer against what standard output may be: a file, a full disk, a pipe whose
 * reader is slow or has gone.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Loss, Output } from '../../src/observe/output.ts';
import { until } from '../support/wait.ts';

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-output-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An output with its counts. */
function outputTo(fd: number, heldBytes?: number) {
  const counts = { written: 0, lost: {} as Partial<Record<Loss, number>> };
  const output = new Output({
    fd,
    ...(heldBytes === undefined ? {} : { heldBytes }),
    onWritten: (lines) => {
      counts.written += lines;
    },
    onLost: (lines, loss) => {
      counts.lost[loss] = (counts.lost[loss] ?? 0) + lines;
    },
  });
  return { counts, output };
}

/** Both ends of a pipe; writing does not block. */
function pipe(t: Test): { reader: number; writer: number } {
  const path = join(folderOf(t), 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  t.teardown(() => closeSync(writer));
  return { reader, writer };
}

function readAll(reader: number): string {
  const chunks: Buffer[] = [];
  const chunk = Buffer.alloc(1 << 20);
  try {
    for (let count = readSync(reader, chunk); count > 0; count = readSync(reader, chunk))
      chunks.push(Buffer.from(chunk.subarray(0, count)));
  } catch {
    // Empty for now.
  }
  return Buffer.concat(chunks).toString();
}

t.test('a file gets every line, in order, and they are counted when they are there', async (t) => {
  const path = join(folderOf(t), 'log');
  const fd = openSync(path, 'w');
  const { counts, output } = outputTo(fd);
  for (let i = 0; i < 1_000; i++) output.write(`line ${i} ä\n`);
  t.equal(counts.written, 0);
  await output.drain(5_000);
  t.same(counts, { written: 1_000, lost: {} });
  t.equal(readFileSync(path, 'utf8'), Array.from({ length: 1_000 }, (_, i) => `line ${i} ä\n`).join(''));
  closeSync(fd);
});

t.test('what waits is written at once in the last moment', async (t) => {
  const path = join(folderOf(t), 'log');
  const fd = openSync(path, 'w');
  const { counts, output } = outputTo(fd);
  for (let i = 0; i < 100; i++) output.write(`${i}\n`);
  output.flushSync();
  await output.drain(5_000);
  t.same(counts, { written: 100, lost: {} });
  const lines = readFileSync(path, 'utf8').split('\n');
  t.same(lines.slice(0, -1).toSorted(), Array.from({ length: 100 }, (_, i) => String(i)).toSorted());
  closeSync(fd);
});

t.test('lines to a reader that has gone are lost as closed, each, and nothing is counted as written', async (t) => {
  const { reader, writer } = pipe(t);
  const { counts, output } = outputTo(writer);
  output.write('heard\n');
  await until('the first is written', () => counts.written === 1);
  closeSync(reader);
  for (let i = 1; i <= 3; i++) {
    output.write('one\ntwo\n', 2);
    await until('they are lost', () => counts.lost.closed === 2 * i);
  }
  t.same(counts, { written: 1, lost: { closed: 6 } });
});

t.test('a full disk has lines held, those beyond the limit and those held to the end lost as full', async (t) => {
  const fd = openSync('/dev/full', 'w');
  const { counts, output } = outputTo(fd, 100);
  for (let i = 0; i < 4; i++) output.write(`${'x'.repeat(29)}\n`);
  t.same(counts, { written: 0, lost: { slow: 1 } }, 'it is not known to be full yet');
  await new Promise((resolve) => setTimeout(resolve, 100));
  output.write(`${'x'.repeat(29)}\n`);
  t.same(counts, { written: 0, lost: { slow: 1, full: 1 } });
  await output.drain(10);
  t.same(counts, { written: 0, lost: { slow: 1, full: 4 } });
  closeSync(fd);
});

t.test('a slow reader gets what was held for it and the rest is lost as slow', async (t) => {
  const { reader, writer } = pipe(t);
  const { counts, output } = outputTo(writer, 100_000);
  const line = `${'y'.repeat(999)}\n`;
  for (let i = 0; i < 1_000; i++) output.write(line);
  t.same(counts, { written: 0, lost: { slow: 900 } });
  let heard = '';
  await until('the rest is written', () => {
    heard += readAll(reader);
    return counts.written === 100;
  });
  heard += readAll(reader);
  t.equal(heard, line.repeat(100));
  closeSync(reader);
});
