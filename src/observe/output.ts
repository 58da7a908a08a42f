/**
 * Standard output as both logs write to it: without waiting for it, whole lines at a time, and with
 * a count of the lines that it did not take. A full disk or a reader that has gone costs lines,
 * never traffic: nothing here ends the process or holds it when it wants to end.
 */
import { fstatSync, write, writeSync } from 'node:fs';

/**
 * Why lines are lost. `slow`: the reader takes less than is written. `full`: the disk has no room.
 * `closed`: the reader has gone. `error`: anything else. The place is that of the shard's counter.
 */
export const LOSSES = ['slow', 'full', 'closed', 'error'] as const;
export type Loss = (typeof LOSSES)[number];

/**
 * Bytes of a write to anything but a file. Shards and the main thread share standard output, and
 * what a pipe takes whole is PIPE_BUF bytes (pipe(7)); larger writes could cut each other's lines.
 * One write is under way at a time and ends between two turns of the reactor, which bounds what a
 * pipe is given: at 4,000 turns a second about 30,000 lines.
 */
const PIPE_BATCH_BYTES = 4_096;
/**
 * Bytes of a write to a regular file, where the kernel lets writes of any size follow one another
 * whole.
 */
const FILE_BATCH_BYTES = 65_536;
/** Bytes held while standard output does not take them; lines beyond are lost. */
const HELD_BYTES = 8 * 1_048_576;
/** A pipe that does not block and is full is asked again after so long, a full disk less often. */
const SLOW_RETRY_MS = 50;
const FULL_RETRY_MS = 1_000;
/** Tries of a last write to a full pipe. */
const LAST_TRIES = 20;

export interface OutputOptions {
  /** Default: standard output. */
  readonly fd?: number;
  /** Default 8 MiB. */
  readonly heldBytes?: number;
  readonly onWritten?: (lines: number) => void;
  readonly onLost: (lines: number, loss: Loss) => void;
}

interface Batch {
  text: string;
  lines: number;
  bytes: number;
}

export class Output {
  /** Bytes that go out in one write. */
  readonly batchBytes: number;
  private readonly fd: number;
  private readonly heldBytes: number;
  private readonly onWritten: (lines: number) => void;
  private readonly onLost: (lines: number, loss: Loss) => void;
  /** The first is the one being written. */
  private readonly queue: Batch[] = [];
  /** What is left of the first, while it is being written. */
  private rest: Buffer | undefined;
  private held = 0;
  /** Waits for the next try. */
  private retry: NodeJS.Timeout | undefined;
  /** What lines beyond the held ones are lost to. */
  private trouble: Loss = 'slow';
  private onDrained: (() => void) | undefined;

  constructor(options: OutputOptions) {
    this.fd = options.fd ?? 1;
    this.batchBytes = isFile(this.fd) ? FILE_BATCH_BYTES : PIPE_BATCH_BYTES;
    this.heldBytes = options.heldBytes ?? HELD_BYTES;
    this.onWritten = options.onWritten ?? (() => {});
    this.onLost = options.onLost;
  }

  /** Takes one or more whole lines. */
  write(text: string, lines = 1): void {
    const bytes = Buffer.byteLength(text);
    if (this.held + bytes > this.heldBytes) {
      this.onLost(lines, this.trouble);
      return;
    }
    this.held += bytes;
    const last = this.queue.at(-1);
    if (last !== undefined && this.queue.length > 1 && last.bytes + bytes <= this.batchBytes) {
      last.text += text;
      last.lines += lines;
      last.bytes += bytes;
      return;
    }
    this.queue.push({ text, lines, bytes });
    if (this.queue.length === 1) this.next();
  }

  /** Waits until all is written, `forMs` at most; what is left then is lost. */
  async drain(forMs: number): Promise<void> {
    if (this.queue.length > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.onDrained = resolve;
      const timer = setTimeout(resolve, forMs);
      await promise;
      clearTimeout(timer);
    }
    clearTimeout(this.retry);
    this.lose(this.trouble);
  }

  /**
   * Writes what waits, for the last moment of a process. A write that is under way is left to end.
   */
  flushSync(): void {
    const isUnderWay = this.rest !== undefined && this.retry === undefined;
    clearTimeout(this.retry);
    this.retry = undefined;
    try {
      for (let first = isUnderWay ? 1 : 0; this.queue.length > first; ) {
        const batch = this.queue[first]!;
        this.writeWhole((first === 0 ? this.rest : undefined) ?? Buffer.from(batch.text));
        this.queue.splice(first, 1);
        if (first === 0) this.rest = undefined;
        this.held -= batch.bytes;
        this.onWritten(batch.lines);
      }
    } catch (error) {
      this.lose(lossOf(error));
    }
  }

  private next(): void {
    const first = this.queue[0];
    if (first === undefined) {
      this.onDrained?.();
      return;
    }
    this.rest ??= Buffer.from(first.text);
    write(this.fd, this.rest, 0, this.rest.length, null, (error, count) => this.taken(error, count));
  }

  private taken(error: Error | null, count: number): void {
    // Lost meanwhile.
    if (this.rest === undefined) return;
    if (error !== null) {
      this.fail(error);
      return;
    }
    this.trouble = 'slow';
    this.rest = count < this.rest.length ? this.rest.subarray(count) : undefined;
    if (this.rest === undefined) {
      const done = this.queue.shift()!;
      this.held -= done.bytes;
      this.onWritten(done.lines);
    }
    this.next();
  }

  /**
   * What may pass is tried again, and lines are held meanwhile; else they are lost, and the next
   * line is a try of its own.
   */
  private fail(error: Error): void {
    this.trouble = lossOf(error);
    if (this.trouble !== 'slow' && this.trouble !== 'full') {
      this.lose(this.trouble);
      this.onDrained?.();
      return;
    }
    this.retry = setTimeout(
      () => {
        this.retry = undefined;
        this.next();
      },
      this.trouble === 'slow' ? SLOW_RETRY_MS : FULL_RETRY_MS,
    ).unref();
  }

  private lose(loss: Loss): void {
    let lines = 0;
    for (const batch of this.queue) lines += batch.lines;
    this.queue.length = 0;
    this.rest = undefined;
    this.held = 0;
    if (lines > 0) this.onLost(lines, loss);
  }

  private writeWhole(bytes: Buffer): void {
    let tries = 0;
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(this.fd, bytes, at);
      } catch (error) {
        tries += 1;
        if (lossOf(error) !== 'slow' || tries > LAST_TRIES) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SLOW_RETRY_MS);
      }
    }
  }
}

function lossOf(error: unknown): Loss {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EAGAIN':
    case 'EINTR':
      return 'slow';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'full';
    case 'EPIPE':
    case 'EBADF':
      return 'closed';
    default:
      return 'error';
  }
}

/** Whether a descriptor is a regular file; one that is closed is not. */
function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
}
