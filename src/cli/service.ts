/**
 * Tells systemd where the edge is in its life (sd_notify(3)): ready, reloading, stopping. Nothing
 * where nobody asked to be told.
 */

import type { BindingAddon } from '../native/binding.ts';
import type { Logger } from '../observe/log.ts';

/** systemd gives its socket by this name. */
const VARIABLE = 'NOTIFY_SOCKET';

export interface Service {
  ready(status: string): void;
  reloading(): void;
  stopping(): void;
}

export function createService(addon: Pick<BindingAddon, 'notifyService'>, env: NodeJS.ProcessEnv, log: Logger): Service {
  const address = env[VARIABLE] ?? '';
  const tell = (...lines: string[]): void => {
    if (address === '') return;
    try {
      addon.notifyService(address, lines.join('\n'));
    } catch (error) {
      log.warn({ err: error }, 'the service manager could not be told');
    }
  };
  return {
    ready: (status) => tell('READY=1', `STATUS=${status}`),
    // The clock is CLOCK_MONOTONIC: the manager takes no earlier answer for this one.
    reloading: () => tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`),
    stopping: () => tell('STOPPING=1'),
  };
}
