/**
 * Finds and loads the native addon: the one built in a checkout, or the prebuilt package of this
 * platform. Every thread that needs it calls `loadAddon`; Node maps the file once for the process,
 * and the reactors behind it belong to the process.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { createError } from '../base/errors.ts';
import type { BindingAddon } from './binding.ts';

const require = createRequire(import.meta.url);

/** Platforms an addon is built for, by `process.platform-process.arch`. */
const TARGETS: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64-gnu',
  'linux-arm64': 'linux-arm64-gnu',
};

let loaded: BindingAddon | undefined;

/**
 * The addon, loaded once a thread. Throws `addon_not_loaded` with everything that was tried,
 * because a missing file and a file that does not fit the machine need different remedies.
 */
export function loadAddon(): BindingAddon {
  loaded ??= load();
  return loaded;
}

function load(): BindingAddon {
  const platform = `${process.platform}-${process.arch}`;
  const target = TARGETS[platform];
  if (target === undefined) throw createError('addon_not_loaded', `no native addon is built for ${platform}`, { platform });
  const complaints: string[] = [];
  for (const place of places(target)) {
    try {
      return require(place) as BindingAddon;
    } catch (error) {
      complaints.push(`${place}: ${firstLine(error)}`);
    }
  }
  throw createError('addon_not_loaded', `the native addon could not be loaded; tried ${complaints.join('; ')}`, { platform });
}

/**
 * A checkout's own build wins over an installed package, so that what was just built is what runs.
 */
function places(target: string): string[] {
  return [fileURLToPath(new URL(`../../native/lychgate.${target}.node`, import.meta.url)), `@lychgate/native-${target}`];
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
