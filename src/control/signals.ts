/**
 * Signals: the first SIGTERM or SIGINT asks for a drain, the second cuts it short, the third ends
 * the process where it stands; both with the status a shell expects of a killed process (128 +
 * number). SIGHUP by default would kill; many send it to daemons to have the configuration read
 * again, so it kills only where it means that the terminal has gone. SIGUSR1 and SIGUSR2 are heard
 * and do nothing yet.
 */
import { constants } from 'node:os';

export type AskingSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP';

export interface SignalsOptions {
  /** Whether a person's terminal is behind the process; then SIGHUP asks like SIGTERM. */
  readonly isTerminal: boolean;
  /** The way out of a drain that lasts too long: what is open is closed, nothing is waited for. */
  readonly cut: (status: number) => void;
  /** The way out of that: must not return control to the event loop. */
  readonly exit: (status: number) => void;
  /** Hears of a SIGHUP that asks for nothing. */
  readonly onHangup: () => void;
  /** Hears of a SIGUSR1 or SIGUSR2. */
  readonly onUserSignal: (signal: NodeJS.Signals) => void;
}

export interface Signals {
  /** Resolves with the first signal. */
  readonly asked: Promise<AskingSignal>;
  /** Hears no more; what nobody else hears does what it does by default. */
  stop(): void;
}

/** Listens on `target` (the process). */
export function listenForSignals(target: Pick<NodeJS.Process, 'on' | 'off'>, options: SignalsOptions): Signals {
  const { promise: asked, resolve } = Promise.withResolvers<AskingSignal>();
  let count = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    if (signal === 'SIGHUP' && !options.isTerminal) return options.onHangup();
    count += 1;
    if (count === 1) return resolve(signal as AskingSignal);
    const status = 128 + constants.signals[signal];
    if (count === 2) options.cut(status);
    else options.exit(status);
  };
  const heard = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const signal of heard) target.on(signal, onSignal);
  const ours = ['SIGUSR1', 'SIGUSR2'] as const;
  for (const signal of ours) target.on(signal, options.onUserSignal);
  return {
    asked,
    stop() {
      for (const signal of heard) target.off(signal, onSignal);
      for (const signal of ours) target.off(signal, options.onUserSignal);
    },
  };
}
