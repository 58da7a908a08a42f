/**
 * Signals: the first SIGTERM or SIGINT asks for a drain, the second ends the process at once with the status a shell expects of a killed
 * process (128 + number).
 */
import { constants } from 'node:os';

const ASKING = ['SIGTERM', 'SIGINT'] as const;

export type AskingSignal = (typeof ASKING)[number];

export interface Signals {
  /** Resolves with the first signal. */
  readonly asked: Promise<AskingSignal>;
  /** Gives the signals back to Node's defaults. */
  stop(): void;
}

/** Listens on `target` (the process). `exit` must not return control to the event loop for long: it is the way out of a drain that hangs. */
export function listenForSignals(target: Pick<NodeJS.Process, 'on' | 'off'>, exit: (status: number) => void): Signals {
  const { promise: asked, resolve } = Promise.withResolvers<AskingSignal>();
  let hasAsked = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (hasAsked) return exit(128 + constants.signals[signal]);
    hasAsked = true;
    resolve(signal as AskingSignal);
  };
  for (const signal of ASKING) target.on(signal, onSignal);
  return {
    asked,
    stop() {
      for (const signal of ASKING) target.off(signal, onSignal);
    },
  };
}
