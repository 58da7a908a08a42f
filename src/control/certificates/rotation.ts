/**
 * What listeners' handshakes go by, and stands in files that change while the edge runs:
 * certificates, keys of session tickets, and what clients must prove. What is wrong leaves what is
 * in use, and is told with the name of its file (`./follower.ts`).
 */

import type { CertificatesSnapshot } from '../../config/snapshot/listener.ts';
import type { BindingAddon } from '../../native/binding.ts';
import type { Logger } from '../../observe/log.ts';
import type { Events } from '../events.ts';
import { answerOf, type CertificatesAnswer } from './answer.ts';
import { followClients, holdClients, tellsOfEnds } from './clients.ts';
import { type CertificateCount, type CertificateView, ListenerCertificates } from './listener-certificates.ts';
import { Rounds } from './rounds.ts';
import { type Listeners, Served } from './served.ts';
import { TicketKeys } from './ticket-keys.ts';

export interface Rotation {
  /**
   * To be called when the reactors have the certificates. Watches their files, where that is
   * wanted.
   */
  start(): Promise<void>;
  stop(): void;
  /** Reads all files again now; `trigger` says in the log who asked. */
  reload(trigger: string): Promise<CertificatesAnswer>;
  /**
   * Gives listeners, by number, the certificates of another configuration: all of them or, when
   * those of one cannot be used, none. Then it rejects. Those of listeners that are no more stay
   * with whoever is at a handshake, and are not followed.
   */
  change(listeners: Listeners, options: CertificatesSnapshot): Promise<void>;
  /** Chains in use at a listener under a label. */
  inUse(listener: string, label: string): string[];
  view(): readonly CertificateView[];
  counts(): readonly CertificateCount[];
}

export interface RotationParts {
  readonly addon: Pick<BindingAddon, 'checkCertificate' | 'setCertificates' | 'removeCertificates' | 'clientCertificatesEnded'>;
  readonly listeners: Listeners;
  readonly options: CertificatesSnapshot;
  readonly events: Pick<Events, 'note'>;
  readonly log: Logger;
}

export function createRotation({ addon, listeners, options, events, log }: RotationParts): Rotation {
  const served = new Served(addon, listeners);
  const rounds = new Rounds({
    subject: 'files of certificates',
    options,
    log,
    paths: () => [...certificates.paths(), ...ticketKeys.paths(), ...clients.paths()],
    async look(changed) {
      await certificates.look(changed);
      await ticketKeys.look(changed);
      await clients.look(changed);
    },
  });
  const certificates = new ListenerCertificates({ addon, rounds, served, events, log });
  const clients = followClients(rounds, served, events, log);
  const ticketKeys = new TicketKeys(rounds, served, events, log);
  const ends = tellsOfEnds(addon, events, log);

  return {
    async start() {
      holdAll();
      ends.start();
      if (!rounds.isWatching) return;
      await rounds.follow();
      // What changed since it was read has no sign of its own.
      await rounds.after(async () => {
        await ticketKeys.renewAll('start');
        await clients.round(clients.held, false, 'start');
        await certificates.round(false, 'start');
      });
    },
    stop() {
      rounds.stop();
      ends.stop();
      clients.stop();
      certificates.stop();
    },
    reload: (trigger) =>
      rounds.after(async () => {
        await ticketKeys.renewAll(trigger);
        const { refused } = await clients.round(clients.held, true, trigger);
        const answer = await certificates.round(true, trigger);
        return answerOf(answer.changed, answer.unchanged, [...answer.refused, ...refused]);
      }),
    change: (next, nextOptions) =>
      rounds.after(async () => {
        served.replace(next);
        rounds.change(nextOptions);
        holdAll();
        if (!rounds.isWatching) return;
        await rounds.follow();
        // What changed between being read and being followed has no sign of its own.
        rounds.begin(async () => {
          await clients.round(clients.held, false, 'reload');
          await certificates.round(false, 'reload');
        });
      }),
    inUse: (listener, label) => certificates.inUse(listener, label),
    view: () => certificates.view(),
    counts: () => certificates.counts(),
  };

  function holdAll(): void {
    certificates.hold();
    clients.hold(holdClients(served));
    ticketKeys.forget();
  }
}
