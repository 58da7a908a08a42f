/**
 * `lychgate run`: configuration → edge → signal → drain → exit status. On a terminal it talks like
 * a program to a person; on a pipe every line is JSON, and the lines with `msg` `ready` tell where
 * it listens.
 */

import { constants } from 'node:os';
import { loadSnapshot } from '../config/load.ts';
import type { Outside } from '../config/read/override.ts';
import { createEdge, type Edge } from '../control/edge/edge.ts';
import { listenForSignals } from '../control/signals.ts';
import { loadAddon } from '../native/load.ts';
import { createLog, isLogLevel, type Log } from '../observe/log.ts';
import { reportProblems } from './report.ts';
import { createService, type Service } from './service.ts';

/** How long a second signal may take to close what is open. */
const CUT_TIMEOUT_MS = 3_000;

/**
 * Runs until a signal has drained the edge; resolves to the exit status. Rejects with a
 * `LychgateError` when it cannot start.
 */
export async function run(file: string, outside: Outside): Promise<number> {
  const addon = loadAddon();
  // Before any key is read.
  addon.setDumpable(false);
  const { config, snapshot, problems, includes } = await loadSnapshot(file, outside);
  reportProblems(problems);
  if (config === undefined || snapshot === undefined) return 1;

  const isTerminal = process.stdout.isTTY === true;
  const log = createLog({ level: isLogLevel(snapshot.log.level) ? snapshot.log.level : 'info', isText: isTerminal });
  // From here on a signal finds someone: one that comes during the start stops the edge right after
  // it.
  const exit = (status: number): never => {
    log.flush();
    process.exit(status);
  };
  let running: { readonly edge: Edge; readonly service: Service } | undefined;
  const hangUp = async (): Promise<void> => {
    if (running === undefined) return;
    const { edge, service } = running;
    service.reloading();
    const { result, generation } = await edge.reload('SIGHUP', { waits: true });
    service.ready(`${result}; ${generation.slice(0, 12)} is in force`);
  };
  const isCut = Promise.withResolvers<number>();
  const signals = listenForSignals(process, {
    isTerminal,
    cut: isCut.resolve,
    exit,
    onHangup: () => void hangUp(),
    onUserSignal: (signal) => log.target('edge').warn(`${signal} is ignored: nothing is asked of a running edge by it`),
  });
  try {
    addon.setDumpable(config.process.dumpable);
    // Node leaves it blocked where its debugger is off; one that came before this is heard now.
    addon.unblockSignal(constants.signals.SIGUSR1);
    const edge = createEdge(
      { addon, snapshot, log },
      {
        source: { config, file, includes, load: (inUse) => loadSnapshot(file, outside, inUse) },
        areFaultsAllowed: process.env['LYCHGATE_TEST_FAULTS'] === '1',
      },
    );
    const service = createService(addon, process.env, log.target('edge'));
    running = { edge, service };
    const serve = async (): Promise<undefined> => {
      await edge.start();
      tellReady(edge, log, isTerminal);
      service.ready(`${edge.status().generation.slice(0, 12)} is in force`);
      const reason = await signals.asked;
      service.stopping();
      await edge.drain(reason);
      await edge.stop();
    };
    const status = await Promise.race([serve(), isCut.promise]);
    if (status !== undefined) {
      log.target('edge').warn('a second signal cuts what is open');
      // Whatever else is under way, in this process or in the drain it leaves behind, is not waited
      // for.
      setTimeout(exit, CUT_TIMEOUT_MS, status);
      await edge.cut();
      exit(status);
    }
    log.target('edge').info('stopped');
    return 0;
  } finally {
    signals.stop();
    log.flush();
  }
}

function tellReady(edge: Edge, log: Log, isTerminal: boolean): void {
  const { listeners, adminAddress, probesAddress, shards, generation, version } = edge.status();
  if (isTerminal) {
    for (const { name, address } of listeners) process.stdout.write(`${name}: https://${address} (HTTP/3)\n`);
    if (adminAddress !== '') process.stdout.write(`admin: http://${adminAddress} (/metrics, /readyz, /v1/status)\n`);
    if (probesAddress !== '') process.stdout.write(`probes: http://${probesAddress} (/healthz, /readyz)\n`);
    process.stdout.write('Ctrl-C drains and stops; twice cuts what is open.\n');
  } else {
    for (const { name, address } of listeners) log.announce({ listener: name, address }, 'ready');
    if (adminAddress !== '') log.announce({ admin: true, address: adminAddress }, 'ready');
    if (probesAddress !== '') log.announce({ probes: true, address: probesAddress }, 'ready');
  }
  log.target('edge').info({ version, shards: shards.length, generation: generation.slice(0, 12) }, 'serving');
}
