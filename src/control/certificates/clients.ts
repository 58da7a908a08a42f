/**
 * What clients must prove while the edge runs: its files read again, and what comes of a change
 * told.
 */

import { noteNumber } from '../../base/notes.ts';
import { readClientRules, worseRules } from '../../config/certificates/client-certificates.ts';
import type { Complaint } from '../../config/problem.ts';
import { Files } from '../../config/read/files.ts';
import type { ClientCertificates } from '../../config/schema/client-certificates.ts';
import type { ClientAuthSnapshot, ListenerSnapshot } from '../../config/snapshot/listener.ts';
import type { BindingAddon } from '../../native/binding.ts';
import type { Logger } from '../../observe/log.ts';
import type { Events } from '../events.ts';
import { stampsOf } from './watch.ts';

const ENDED = noteNumber('client_certificates_ended');

/** So often it is looked at whether connections were ended. */
const ENDS_MS = 2_000;

/** Files of authorities and of revocation lists, absolute. */
export function filesOfClients({ clientAuth }: ListenerSnapshot): string[] {
  return clientAuth.flatMap(({ source: { ca, crl } }) => [...ca, ...crl]);
}

/** What a listener's clients must prove as it is on disk now, or what is wrong with it. */
export async function readClients(
  listener: ListenerSnapshot,
  nowMs: number,
): Promise<{ readonly rules: readonly ClientAuthSnapshot[] } | { readonly fault: string }> {
  const paths = filesOfClients(listener);
  const before = await stampsOf(paths);
  const files = new Files('/');
  const rules: ClientAuthSnapshot[] = [];
  for (const serving of listener.clientAuth) {
    const complaints: Complaint[] = [];
    const next = await readClientRules(serving.names, serving.source, [], files, complaints, nowMs);
    const faults = complaints.filter(({ severity }) => severity !== 'warning').map((complaint) => describe(serving.source, complaint));
    if (faults.length > 0) return { fault: faults.join('; ') };
    const worse = worseRules(next, serving, nowMs);
    if (worse !== undefined) return { fault: worse };
    rules.push(next);
  }
  return (await stampsOf(paths)) === before ? { rules } : { fault: 'a file is being written' };
}

/** A complaint with the file that it is about. */
function describe(source: ClientCertificates, { path: [key, place], message }: Complaint): string {
  const file = (key === 'ca' || key === 'crl') && typeof place === 'number' ? source[key][place] : undefined;
  return file === undefined || message.startsWith(file) ? message : `${file}: ${message}`;
}

/** Tells of connections that the reactors have ended, when there were any. */
export function tellsOfEnds(
  addon: Pick<BindingAddon, 'clientCertificatesEnded'>,
  events: Pick<Events, 'note'>,
  log: Logger,
): { start(): void; stop(): void } {
  const known = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  return {
    start() {
      timer = setInterval(look, ENDS_MS).unref();
    },
    stop: () => clearInterval(timer),
  };

  function look(): void {
    for (const { listener, reason, count } of addon.clientCertificatesEnded()) {
      const key = `${listener}\n${reason}`;
      const connections = count - (known.get(key) ?? 0);
      // Less than before: the listener was another one meanwhile.
      known.set(key, count);
      if (connections <= 0) continue;
      log.warn({ listener, reason, connections }, 'connections ended: the certificates of their clients do not pass any more');
      events.note({ note: ENDED, upstream: -1, slot: -1, detail: connections, text: `${listener}: ${connections} (${reason})` });
    }
  }
}
