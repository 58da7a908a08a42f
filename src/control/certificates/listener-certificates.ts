/**
 * Certificates of listeners while the edge runs: a chain or key that changes on disk is read again,
 * checked as at the start, and given to the reactors of all shards at once.
 */

import { isDeepStrictEqual } from 'node:util';
import { noteNumber } from '../../base/notes.ts';
import { type CertificateFacts, factsOfChain, readCertificate, worseThan } from '../../config/certificates/certificates.ts';
import type { Complaint } from '../../config/problem.ts';
import type { Files } from '../../config/read/files.ts';
import type { CertificateSnapshot } from '../../config/snapshot/listener.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { toBindingCertificate } from '../../native/convert.ts';
import type { Logger } from '../../observe/log.ts';
import type { Events } from '../events.ts';
import { type CertificateResult, type CertificatesAnswer, ResultCounts } from './answer.ts';
import { describeAt, faultsOf } from './describe.ts';
import { type Followed, Follower, type Outcome } from './follower.ts';
import type { Rounds } from './rounds.ts';
import type { Served } from './served.ts';

/**
 * A certificate as `/v1/certificates` shows it. Where its key is, is said only where that is what
 * is wrong.
 */
export interface CertificateView extends CertificateFacts {
  readonly listener: string;
  /** What it is called in metrics and logs; unique at its listener. */
  readonly certificate: string;
  readonly names: readonly string[];
  readonly chain: string;
  /** Whole days until it runs out; negative afterwards. */
  readonly daysLeft: number;
  /** ISO 8601: since when it is in use. */
  readonly since: string;
  /** Why what is on disk is not in use; null where it is, as far as known. */
  readonly refusal: { readonly at: string; readonly message: string } | null;
}

/** How often a certificate ended so; what was tried again is counted once. */
export interface CertificateCount {
  readonly listener: string;
  readonly certificate: string;
  readonly result: CertificateResult;
  readonly count: number;
}

export interface ListenerCertificateParts {
  readonly addon: Pick<BindingAddon, 'checkCertificate'>;
  readonly rounds: Rounds;
  readonly served: Served;
  readonly events: Pick<Events, 'note'>;
  readonly log: Logger;
}

/** One certificate of a listener. */
interface Held extends Followed {
  /** Number of the listener, and place among its certificates. */
  readonly number: number;
  readonly place: number;
  readonly listener: string;
  readonly label: string;
  chainPem: string;
  facts: CertificateFacts;
  sinceMs: number;
}

const CHANGED = noteNumber('certificate_changed');
const REFUSED = noteNumber('certificate_refused');

export class ListenerCertificates {
  private readonly served: Served;
  private readonly counted = new ResultCounts();
  private readonly follower: Follower<Held, CertificateSnapshot>;

  constructor({ addon, rounds, served, events, log }: ListenerCertificateParts) {
    this.served = served;
    this.follower = new Follower({
      rounds,
      filesOf: (one) => filesOf(this.servingOf(one)),
      read: (one, files) => read(addon, this.servingOf(one), files),
      take: (found) => this.take(found),
      count: (one, result) => this.counted.add(titleOf(one), result),
      tellChange: (one, trigger) => {
        const { serial, notAfter, issuer, key } = one.facts;
        const names = this.servingOf(one).names.slice(0, 8);
        log.info({ ...nameOf(one), trigger, serial, notAfter, issuer, key, names }, 'certificate changed');
        const text = `${titleOf(one)}: serial ${serial}, valid until ${notAfter}`;
        events.note({ note: CHANGED, upstream: -1, slot: -1, detail: 0, text });
      },
      tellReturn: (one) => log.info(nameOf(one), 'certificate on disk is the one in use again'),
      tellRefusal: (one, message, trigger) => {
        const said = { ...nameOf(one), trigger, fault: message, serial: one.facts.serial };
        log.error(said, 'certificate refused; the one before stays in use');
        events.note({ note: REFUSED, upstream: -1, slot: -1, detail: 0, text: `${titleOf(one)}: ${message}` });
      },
      nameOf,
    });
  }

  /** Follows those of the listeners that are served now. */
  hold(): void {
    const { follower } = this;
    follower.hold(hold(this.served, follower.held));
    this.counted.keep(new Set(follower.held.map(titleOf)));
  }

  stop(): void {
    this.follower.stop();
  }

  paths(): string[] {
    return this.follower.paths();
  }

  look(changed: ReadonlySet<string>): Promise<void> {
    return this.follower.look(changed);
  }

  /** A round for all. */
  round(isImpatient: boolean, trigger: string): Promise<CertificatesAnswer> {
    return this.follower.round(this.follower.held, isImpatient, trigger);
  }

  /** Chains in use at a listener under a label. */
  inUse(listener: string, label: string): string[] {
    const serving = this.follower.held.filter((one) => one.listener === listener).map((one) => this.servingOf(one));
    return serving.filter((one) => one.label === label).map(({ chainPem }) => chainPem);
  }

  view(): readonly CertificateView[] {
    return this.follower.held.map((one) => viewOf(one, this.servingOf(one)));
  }

  counts(): readonly CertificateCount[] {
    return this.follower.held.flatMap((one) => this.counted.of(titleOf(one)).map((row) => ({ ...nameOf(one), ...row })));
  }

  private servingOf({ number, place }: Held): CertificateSnapshot {
    return this.served.get(number).certificates[place] as CertificateSnapshot;
  }

  /**
   * Gives listeners what is good of `found`, with what they have of the others. Where the reactors
   * do not take it, none of a listener's was good.
   */
  private take(found: Map<Held, Outcome<CertificateSnapshot>>): void {
    for (const [number, { certificates: serving }] of this.served.all()) {
      const renewed = serving.slice();
      const good: Held[] = [];
      for (const [one, outcome] of found) {
        if (one.number !== number || outcome.kind !== 'good') continue;
        renewed[one.place] = outcome.news;
        good.push(one);
      }
      if (good.length === 0) continue;
      const fault = this.served.renew(number, { certificates: renewed });
      for (const one of good) {
        const { source, chainPem } = this.servingOf(one);
        if (fault !== '') {
          found.set(one, { kind: 'bad', message: `${source.chain}: ${fault}` });
          continue;
        }
        one.chainPem = chainPem;
        one.facts = factsOfChain(chainPem);
        one.sinceMs = Date.now();
      }
    }
  }
}

/** What is on disk, held against what is in use. */
async function read(
  addon: ListenerCertificateParts['addon'],
  serving: CertificateSnapshot,
  files: Files,
): Promise<Outcome<CertificateSnapshot>> {
  const { source } = serving;
  const nowMs = Date.now();
  const { certificate, complaints } = await readCertificate(source, [], files, nowMs);
  if (certificate === undefined) return { kind: 'bad', message: faultsOf(complaints, (complaint) => describe(source, complaint)) };
  if (isDeepStrictEqual(toBindingCertificate(certificate), toBindingCertificate(serving))) return { kind: 'unchanged' };
  const worse = worseThan(certificate.chainPem, serving.chainPem, nowMs);
  if (worse !== undefined) return { kind: 'bad', message: `${source.chain}: ${worse}` };
  const faults = addon.checkCertificate(toBindingCertificate({ ...certificate, label: serving.label }));
  return faults.length > 0 ? { kind: 'bad', message: `${source.chain}: ${faults.join('; ')}` } : { kind: 'good', news: certificate };
}

/** Certificates of all listeners; those that are as they were keep what is known of them. */
function hold(served: Served, before: readonly Held[]): Held[] {
  const sinceMs = Date.now();
  return served.all().flatMap(([number, { name: listener, certificates }]) => {
    const labels = new Map<string, number>();
    return certificates.map(({ label: given, chainPem }, place) => {
      const times = (labels.get(given) ?? 0) + 1;
      labels.set(given, times);
      const label = times === 1 ? given : `${given} (${times})`;
      const known = before.find((one) => one.listener === listener && one.label === label && one.chainPem === chainPem);
      const kept = { facts: known?.facts ?? factsOfChain(chainPem), sinceMs: known?.sinceMs ?? sinceMs };
      return { number, place, listener, label, chainPem, ...kept, refusal: undefined, tries: 0 };
    });
  });
}

function filesOf({ source: { chain, key, key_passphrase_file: passphrase, ocsp } }: CertificateSnapshot): string[] {
  return [...new Set([chain, key, passphrase, ocsp])].filter((path) => path !== '');
}

function nameOf({ listener, label }: Held): { listener: string; certificate: string } {
  return { listener, certificate: label };
}

/** Names of listeners have no blanks. */
function titleOf({ listener, label }: Held): string {
  return `${listener} ${label}`;
}

/** A complaint with the file that it is about. */
function describe(source: CertificateSnapshot['source'], complaint: Complaint): string {
  const [key] = complaint.path;
  return describeAt(key === 'key' || key === 'key_passphrase_file' || key === 'ocsp' ? source[key] : source.chain, complaint);
}

const DAY_MS = 24 * 3_600_000;

function viewOf({ listener, label, facts, sinceMs, refusal }: Held, { names, source }: CertificateSnapshot): CertificateView {
  return {
    listener,
    certificate: label,
    names,
    ...facts,
    daysLeft: Math.floor((Date.parse(facts.notAfter) - Date.now()) / DAY_MS),
    chain: source.chain,
    since: new Date(sinceMs).toISOString(),
    refusal: refusal === undefined ? null : { at: new Date(refusal.atMs).toISOString(), message: refusal.message },
  };
}
