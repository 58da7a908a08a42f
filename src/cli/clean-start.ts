/**
 * Whoever starts the program with `node` instead of `bin/lychgate` gets the same process: one whose
 * debugger no signal opens, and without the variables that change Node behind the configuration's
 * back. Both are settled before the first line of JavaScript runs, so the process begins anew in
 * its own place, with the same id.
 */
import { fileURLToPath } from 'node:url';

const SWITCH = '--disable-sigusr1';
/** `bin/lychgate` says what for. */
const YOUNG = '--max-semi-space-size=4';
const DROPPED = ['NODE_OPTIONS', 'NODE_TLS_REJECT_UNAUTHORIZED'];

/**
 * Returns if the process is as it should be; otherwise begins it anew with `entry`, and does not
 * return.
 */
export function startClean(entry: string): void {
  const dropped = DROPPED.filter((name) => (process.env[name] ?? '') !== '');
  if (process.execArgv.includes(SWITCH) && dropped.length === 0) return;
  for (const name of dropped) {
    process.stderr.write(`lychgate: warning: ${name} is dropped from the environment; it has no effect here\n`);
    delete process.env[name];
  }
  // The same place from src/cli and from dist/cli.
  const holder = fileURLToPath(new URL('../../bin/hold-signals.cjs', import.meta.url));
  const ours = [SWITCH, YOUNG, `--require=${holder}`, '--disable-warning=ExperimentalWarning'].filter(
    (word) => !process.execArgv.includes(word),
  );
  process.execve?.(process.execPath, [process.execPath, ...ours, ...process.execArgv, entry, ...process.argv.slice(2)], process.env);
}
