/**
 * The base log: one pino root, one child for each part of the edge, told apart by `target`. The
 * level is one for all and can be changed while the edge runs. Lines are JSON; on a terminal they
 * are written as text. Access lines are not written here (`./access-log.ts`).
 */
import { type DestinationStream, type Logger, pino } from 'pino';
import { createTextStream } from './log-text.ts';
import { LOSSES, type Loss, Output } from './output.ts';

export type { Logger } from 'pino';

/** Levels from the most to the least talkative; `silent` says nothing at all. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Keys whose values never reach a line, at the top and one level down. */
const SECRET_KEYS = ['token', 'authorization', 'cookie', 'keyPem', 'clientKeyPem', 'cidKey', 'password'];

/** The process's log. */
export interface Log {
  /** The logger of one part; the same target gives the same logger. */
  target(name: string): Logger;
  /**
   * Says a line whatever the level is, for the few that a caller waits for: where the edge listens.
   */
  announce(facts: Readonly<Record<string, unknown>>, message: string): void;
  level(): LogLevel;
  /** Changes the level of every target, present and future. */
  setLevel(level: LogLevel): void;
  /** Lines that standard output did not take. */
  readonly lost: Readonly<Record<Loss, number>>;
  /** Writes out what is buffered; for the last moment of a process. */
  flush(): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Text for people instead of JSON lines. */
  readonly isText: boolean;
  /** Where lines go instead of standard output, for tests. */
  readonly stream?: DestinationStream;
}

/** True for a level's name. */
export function isLogLevel(value: unknown): value is LogLevel {
  return LOG_LEVELS.includes(value as LogLevel);
}

/**
 * Makes the log. Without a stream it writes to standard output, asynchronously, so that a slow
 * reader does not hold the main thread.
 */
export function createLog(options: LogOptions): Log {
  const lost = Object.fromEntries(LOSSES.map((loss) => [loss, 0])) as Record<Loss, number>;
  const onLost = (count: number, loss: Loss) => {
    lost[loss] += count;
  };
  const out = options.stream === undefined ? new Output({ onLost }) : undefined;
  const lines = options.stream ?? (out as DestinationStream);
  const root = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
    },
    options.isText ? createTextStream(lines) : lines,
  );
  const announcer = root.child({ target: 'edge' });
  // Set afterwards: a child made with its parent's level has none of its own and would fall silent
  // with the parent.
  announcer.level = 'info';
  const targets = new Map<string, Logger>();
  let level = options.level;

  return {
    target(name) {
      let child = targets.get(name);
      if (child === undefined) {
        child = root.child({ target: name });
        child.level = level;
        targets.set(name, child);
      }
      return child;
    },
    announce: (facts, message) => announcer.info(facts, message),
    level: () => level,
    setLevel(next) {
      level = next;
      root.level = next;
      // A pino child with a level of its own does not follow its parent.
      for (const child of targets.values()) child.level = next;
    },
    lost,
    flush: () => out?.flushSync(),
  };
}
