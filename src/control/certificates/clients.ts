/**
 * What clients must prove while the edge runs: its files read again when they change, and what
 * comes of a change told. What is wrong with one file leaves all of its listener's in use.
 */

import { isDeepStrictEqual } from 'node:util';
import { noteNumber } from '../../base/notes.ts';
import { readClientRules, worseRules } from '../../config/certificates/client-certificates.ts';
import type { Complaint } from '../../config/problem.ts';
import type { Files } from '../../config/read/files.ts';
import type { ClientCertificates } from '../../config/schema/client-certificates.ts';
import type { ClientAuthSnapshot, ListenerSnapshot } from '../../config/snapshot/listener.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { toBindingPolicy } from '../../native/convert.ts';
import type { Logger } from '../../observe/log.ts';
import type { Events } from '../events.ts';
import { faultsOf } from './describe.ts';
import { type Followed, Follower, type Outcome } from './follower.ts';
import type { Rounds } from './rounds.ts';
import type { Served } from './served.ts';

const CHANGED = noteNumber('certificate_changed');
const REFUSED = noteNumber('certificate_refused');
const ENDED = noteNumber('client_certificates_ended');

/** So often it is looked at whether connections were ended. */
const ENDS_MS = 2_000;

/** A listener whose clients must prove something that stands in files. */
export interface HeldClients extends Followed {
  readonly number: number;
}

type Rules = readonly ClientAuthSnapshot[];

export function followClients(rounds: Rounds, served: Served, events: Pick<Events, 'note'>, log: Logger): Follower<HeldClients, Rules> {
  const listenerOf = ({ number }: HeldClients): ListenerSnapshot => served.get(number);
  const tellReturn = (one: HeldClients): void =>
    log.info({ listener: listenerOf(one).name }, 'client certificate rules on disk are the ones in use again');
  return new Follower({
    rounds,
    filesOf: (one) => filesOf(listenerOf(one)),
    read: (one, files) => read(listenerOf(one), files),
    take(found) {
      for (const [one, outcome] of found) {
        const message = outcome.kind === 'good' ? served.renew(one.number, { clientAuth: outcome.news }) : '';
        if (message !== '') found.set(one, { kind: 'bad', message });
      }
    },
    count: () => {},
    tellChange(one, trigger) {
      const { name, clientAuth } = listenerOf(one);
      if (one.refusal !== undefined) tellReturn(one);
      const authorities = clientAuth.map(({ caPem }) => caPem.split('-----BEGIN').length - 1);
      const revoked = clientAuth.map(({ lists }) => lists.reduce((sum, { count }) => sum + count, 0));
      log.info({ listener: name, trigger, authorities, revoked }, 'client certificate rules changed');
      const text = `${name} client certificates: ${authorities.join(', ')} authorities, ${revoked.join(', ')} revoked`;
      events.note({ note: CHANGED, upstream: -1, slot: -1, detail: 0, text });
    },
    tellReturn,
    tellRefusal(one, fault, trigger) {
      const { name } = listenerOf(one);
      log.error({ listener: name, trigger, fault }, 'client certificate rules refused; the ones before stay in use');
      events.note({ note: REFUSED, upstream: -1, slot: -1, detail: 0, text: `${name} client certificates: ${fault}` });
    },
    nameOf: (one) => ({ listener: listenerOf(one).name, certificate: 'client certificates' }),
  });
}

/** Listeners that have such files. */
export function holdClients(served: Served): HeldClients[] {
  return served.all().flatMap(([number, listener]) => (filesOf(listener).length === 0 ? [] : [{ number, refusal: undefined, tries: 0 }]));
}

/** Files of authorities and of revocation lists, absolute. */
function filesOf({ clientAuth }: ListenerSnapshot): string[] {
  return clientAuth.flatMap(({ source: { ca, crl } }) => [...ca, ...crl]);
}

/** What a listener's clients must prove as it is on disk now. */
async function read(listener: ListenerSnapshot, files: Files): Promise<Outcome<Rules>> {
  const nowMs = Date.now();
  const rules: ClientAuthSnapshot[] = [];
  for (const serving of listener.clientAuth) {
    const complaints: Complaint[] = [];
    const next = await readClientRules(serving.names, serving.source, [], files, complaints, nowMs);
    const faults = faultsOf(complaints, (complaint) => describe(serving.source, complaint));
    if (faults !== '') return { kind: 'bad', message: faults };
    const worse = worseRules(next, serving, nowMs);
    if (worse !== undefined) return { kind: 'bad', message: worse };
    rules.push(next);
  }
  const isSame = isDeepStrictEqual(toBindingPolicy({ ...listener, clientAuth: rules }), toBindingPolicy(listener));
  return isSame ? { kind: 'unchanged' } : { kind: 'good', news: rules };
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
