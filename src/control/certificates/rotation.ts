/**
 * Certificates that change while the edge runs. A chain or key that changes on disk is read again,
 * checked as at the start, and given to the reactors of all shards at once; what is wrong leaves
 * the one in use, and is told with the name of its file. Each certificate stands for itself: a bad
 * one keeps no other from being renewed.
 *
 * Files of a pair are rarely written in one moment. What does not fit is tried again for a while
 * before anything is said. A file of keys of session tickets is followed too, and so are those of
 * what clients must prove.
 */

import { isDeepStrictEqual } from 'node:util';
import { noteNumber } from '../../base/notes.ts';
import { type CertificateFacts, factsOfChain, readCertificate, worseThan } from '../../config/certificates/certificates.ts';
import { readTicketKeys } from '../../config/certificates/ticket-keys.ts';
import type { Complaint } from '../../config/problem.ts';
import { Files } from '../../config/read/files.ts';
import type { CertificateSnapshot, CertificatesSnapshot, ClientAuthSnapshot, ListenerSnapshot } from '../../config/snapshot/listener.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { giveCertificates, toBindingCertificate, toBindingPolicy } from '../../native/convert.ts';
import type { Logger } from '../../observe/log.ts';
import type { Events } from '../events.ts';
import { filesOfClients, readClients, tellsOfEnds } from './clients.ts';
import { createFileWatch, type FileWatch, stampsOf } from './watch.ts';

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

export const CERTIFICATE_RESULTS = ['changed', 'unchanged', 'refused'] as const;
export type CertificateResult = (typeof CERTIFICATE_RESULTS)[number];

/** What came of reading all files again. */
export interface CertificatesAnswer {
  /** `refused` where any was, `changed` where any was and none was refused. */
  readonly result: CertificateResult;
  readonly changed: number;
  readonly unchanged: number;
  readonly refused: readonly { readonly listener: string; readonly certificate: string; readonly message: string }[];
}

/** Two answers as one. */
export function joined(a: CertificatesAnswer, b: CertificatesAnswer): CertificatesAnswer {
  const [changed, unchanged, refused] = [a.changed + b.changed, a.unchanged + b.unchanged, [...a.refused, ...b.refused]];
  return { result: refused.length > 0 ? 'refused' : changed > 0 ? 'changed' : 'unchanged', changed, unchanged, refused };
}

/** How often a certificate ended so; what was tried again is counted once. */
export interface CertificateCount {
  readonly listener: string;
  readonly certificate: string;
  readonly result: CertificateResult;
  readonly count: number;
}

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

/** Listeners with their numbers. */
type Listeners = readonly (readonly [number, ListenerSnapshot])[];

/** One certificate of a listener. */
interface Held {
  /** With the keys of session tickets that it has now. */
  listener: ListenerSnapshot;
  /** Number of the listener. */
  readonly number: number;
  readonly label: string;
  serving: CertificateSnapshot;
  facts: CertificateFacts;
  sinceMs: number;
  refusal: { readonly message: string; readonly atMs: number } | undefined;
  /** How often it did not fit since it last did. */
  tries: number;
}

type RefusedClients = CertificatesAnswer['refused'][number];

type Outcome =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'good'; readonly certificate: CertificateSnapshot }
  | { readonly kind: 'bad'; readonly message: string };

/** Pauses before what does not fit is tried again; afterwards it is told. */
export const RETRY_MS = [50, 100, 200, 400, 800];

const CHANGED = noteNumber('certificate_changed');
const REFUSED = noteNumber('certificate_refused');

export function createRotation({ addon, listeners: first, options: firstOptions, events, log }: RotationParts): Rotation {
  let listeners = first;
  let options = firstOptions;
  let held: Held[] = [];
  const counts = new Map<string, number>();
  let watch: FileWatch | undefined;
  let retry: NodeJS.Timeout | undefined;
  /** Files that did not fit, and are looked at again. */
  const pending = new Set<Held>();
  /** What is wrong with the keys of session tickets on disk, by listener. */
  const keyFaults = new Map<string, string>();
  /** What is wrong with what clients must prove, by listener, and how often it was tried again. */
  const clientFaults = new Map<string, string>();
  const clientTries = new Map<string, number>();
  let clientRetry: NodeJS.Timeout | undefined;
  const ends = tellsOfEnds(addon, events, log);
  let isStopped = false;
  /** One round at a time. */
  let working: Promise<unknown> = Promise.resolve();

  return {
    async start() {
      held = hold(listeners, []);
      ends.start();
      if (!options.isWatched) return;
      await follow();
      // What changed since it was read has no sign of its own.
      await after(async () => {
        await renewKeys(all(), 'start');
        await renewClients(all(), false, 'start');
        await round(held, false, 'start');
      });
    },
    stop() {
      isStopped = true;
      watch?.stop();
      ends.stop();
      clearTimeout(clientRetry);
      clearTimeout(retry);
    },
    reload: (trigger) =>
      after(async () => {
        await renewKeys(all(), trigger);
        const refused = await renewClients(all(), true, trigger);
        const answer = await round(held, true, trigger);
        return refused.length === 0 ? answer : { ...answer, result: 'refused', refused: [...answer.refused, ...refused] };
      }),
    change: (next, nextOptions) =>
      after(async () => {
        giveAll(next);
        const isOtherWatch = nextOptions.isWatched !== options.isWatched || nextOptions.pollMs !== options.pollMs;
        options = nextOptions;
        listeners = next;
        held = hold(next, held);
        forgetCounts();
        pending.clear();
        keyFaults.clear();
        clientFaults.clear();
        clientTries.clear();
        if (isOtherWatch) {
          watch?.stop();
          watch = undefined;
        }
        if (!options.isWatched || isStopped) return;
        await follow();
        // What changed between being read and being followed has no sign of its own.
        void after(async () => {
          await renewClients(all(), false, 'reload');
          await round(held, false, 'reload');
        }).catch(() => {});
      }),
    inUse: (listener, label) =>
      held.filter((one) => one.listener.name === listener && one.serving.label === label).map(({ serving }) => serving.chainPem),
    view: () => held.map(viewOf),
    counts: () =>
      held.flatMap(({ listener, label }) =>
        CERTIFICATE_RESULTS.map((result) => ({
          listener: listener.name,
          certificate: label,
          result,
          count: counts.get(countKey(listener.name, label, result)) ?? 0,
        })),
      ),
  };

  async function follow(): Promise<void> {
    watch ??= createFileWatch({ pollMs: options.pollMs, log, onLook: (changed) => void after(() => look(changed)) });
    await watch.follow(paths());
  }

  function all(): ListenerSnapshot[] {
    return listeners.map(([, listener]) => listener);
  }

  function after<T>(work: () => Promise<T>): Promise<T> {
    const done = working.then(work);
    working = done.catch((error: unknown) => log.error({ err: error }, 'certificates could not be looked at'));
    return done;
  }

  function giveAll(next: Listeners): void {
    const serving = (listener: ListenerSnapshot): CertificateSnapshot[] =>
      held.filter((one) => one.listener === listener).map((one) => one.serving);
    const before = new Map(listeners.map(([number, listener]) => [number, { ...listener, certificates: serving(listener) }]));
    const changed = next.filter(([number, listener]) => !isDeepStrictEqual(givenOf(listener), givenOf(before.get(number))));
    try {
      for (const [number, listener] of changed) giveCertificates(addon, number, listener);
    } catch (error) {
      for (const [number] of changed) {
        const listener = before.get(number);
        if (listener !== undefined) giveCertificates(addon, number, listener);
        else addon.removeCertificates(number);
      }
      throw error;
    }
  }

  /**
   * Those whose files changed, and those that were refused: what was wrong may be time, or rights.
   */
  async function look(changed: ReadonlySet<string>): Promise<void> {
    const due = held.filter((one) => one.refusal !== undefined || filesOf(one).some((path) => changed.has(path)));
    if (due.length > 0) await round(due, false, 'watch');
    const isDue = ({ name, ticketKeysFile: file }: ListenerSnapshot): boolean => changed.has(file) || keyFaults.has(name);
    await renewKeys(all().filter(isDue), 'watch');
    const hasChanged = (listener: ListenerSnapshot): boolean => filesOfClients(listener).some((path) => changed.has(path));
    await renewClients(
      all().filter((listener) => hasChanged(listener) || clientFaults.has(listener.name)),
      false,
      'watch',
    );
  }

  /**
   * Reads files of keys of session tickets again. What is wrong with one leaves the keys in use,
   * and is told once.
   */
  async function renewKeys(due: readonly ListenerSnapshot[], trigger: string): Promise<void> {
    for (const listener of due.filter(({ ticketKeysFile }) => ticketKeysFile !== '')) {
      if (isStopped) return;
      const complaints: Complaint[] = [];
      const ticketKeys = await readTicketKeys(listener.ticketKeysFile, [], new Files('/'), complaints);
      const fault = complaints.map(({ message }) => message).join('; ') || giveKeys(listener, ticketKeys, trigger);
      if (fault === '') keyFaults.delete(listener.name);
      else refuseKeys(listener, fault, trigger);
    }
  }

  /** What is wrong with the keys, or nothing. */
  function giveKeys(listener: ListenerSnapshot, ticketKeys: readonly Uint8Array[], trigger: string): string {
    const { name, ticketKeys: before } = listener;
    if (before.length === ticketKeys.length && before.every((key, i) => Buffer.compare(key, ticketKeys[i] as Uint8Array) === 0)) return '';
    const next = { ...listener, ticketKeys };
    const fault = give(listener, next);
    if (fault !== '') return fault;
    log.info({ listener: name, trigger, keys: ticketKeys.length }, 'keys of session tickets changed');
    events.note({ note: CHANGED, upstream: -1, slot: -1, detail: 0, text: `${name} keys of session tickets: ${ticketKeys.length}` });
    return '';
  }

  function refuseKeys({ name, ticketKeysFile: file }: ListenerSnapshot, fault: string, trigger: string): void {
    if (keyFaults.get(name) === fault) return;
    keyFaults.set(name, fault);
    log.error({ listener: name, trigger, file, fault }, 'keys of session tickets refused; those before stay in use');
    events.note({ note: REFUSED, upstream: -1, slot: -1, detail: 0, text: `${name} keys of session tickets: ${file}: ${fault}` });
  }

  /** Gives a listener other rules with the certificates that it has; what is wrong with them, or nothing. */
  function give(listener: ListenerSnapshot, next: ListenerSnapshot): string {
    const own = held.filter((one) => one.listener === listener);
    const number = listeners.find(([, one]) => one === listener)?.[0] ?? 0;
    try {
      giveCertificates(addon, number, { ...next, certificates: own.map(({ serving }) => serving) });
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    listeners = listeners.map(([at, one]) => [at, one === listener ? next : one]);
    for (const one of own) one.listener = next;
    return '';
  }

  /**
   * Reads what clients must prove again. What is wrong with a file leaves all of its listener's in
   * use, and is told once: at once by who asks for it, otherwise after it was tried again.
   */
  async function renewClients(due: readonly ListenerSnapshot[], isImpatient: boolean, trigger: string): Promise<RefusedClients[]> {
    const refused: RefusedClients[] = [];
    for (const listener of due.filter((one) => filesOfClients(one).length > 0)) {
      if (isStopped) break;
      const { name } = listener;
      const read = await readClients(listener, Date.now());
      const fault = 'fault' in read ? read.fault : giveClients(listener, read.rules, trigger);
      const tries = clientTries.get(name) ?? 0;
      if (fault === '') {
        if (clientFaults.delete(name)) log.info({ listener: name }, 'what clients must prove is as it is on disk again');
        clientTries.delete(name);
      } else if (!isImpatient && clientFaults.get(name) !== fault && tries < RETRY_MS.length) {
        clientTries.set(name, tries + 1);
        clearTimeout(clientRetry);
        const again = (): Promise<unknown> =>
          renewClients(
            all().filter((one) => clientTries.has(one.name)),
            false,
            'watch',
          );
        clientRetry = setTimeout(() => void after(again).catch(() => {}), RETRY_MS[tries]).unref();
      } else {
        clientTries.delete(name);
        if (clientFaults.get(name) !== fault) {
          log.error({ listener: name, trigger, fault }, 'what clients must prove was refused; what was before stays in use');
          events.note({ note: REFUSED, upstream: -1, slot: -1, detail: 0, text: `${name} client certificates: ${fault}` });
        }
        clientFaults.set(name, fault);
        refused.push({ listener: name, certificate: 'client certificates', message: fault });
      }
    }
    return refused;
  }

  /** What is wrong with the rules, or nothing. */
  function giveClients(listener: ListenerSnapshot, clientAuth: readonly ClientAuthSnapshot[], trigger: string): string {
    const next = { ...listener, clientAuth };
    if (isDeepStrictEqual(toBindingPolicy(next), toBindingPolicy(listener))) return '';
    const fault = give(listener, next);
    if (fault !== '') return fault;
    const authorities = clientAuth.map(({ caPem }) => caPem.split('-----BEGIN').length - 1);
    const revoked = clientAuth.map(({ lists }) => lists.reduce((sum, { count }) => sum + count, 0));
    log.info({ listener: listener.name, trigger, authorities, revoked }, 'what clients must prove has changed');
    const text = `${listener.name} client certificates: ${authorities.join(', ')} authorities, ${revoked.join(', ')} revoked`;
    events.note({ note: CHANGED, upstream: -1, slot: -1, detail: 0, text });
    return '';
  }

  function paths(): string[] {
    const keys = all()
      .map(({ ticketKeysFile }) => ticketKeysFile)
      .filter((path) => path !== '');
    return [...held.flatMap(filesOf), ...keys, ...all().flatMap(filesOfClients)];
  }

  async function round(due: readonly Held[], isImpatient: boolean, trigger: string): Promise<CertificatesAnswer> {
    const refused: { listener: string; certificate: string; message: string }[] = [];
    let [changed, unchanged] = [0, 0];
    if (isStopped) return { result: 'unchanged', changed, unchanged, refused };
    const files = new Files('/');
    const found = new Map<Held, Outcome>();
    for (const one of due) found.set(one, await read(one, files));
    for (const listener of new Set(due.map((one) => one.listener))) swap(listener, found);
    for (const [one, outcome] of found) {
      const isNews = outcome.kind === 'bad' && outcome.message !== one.refusal?.message;
      const isPatient = isNews && !isImpatient && one.tries < RETRY_MS.length;
      if (isPatient) {
        pending.add(one);
        continue;
      }
      pending.delete(one);
      one.tries = 0;
      if (outcome.kind === 'bad') {
        refuse(one, outcome.message, trigger);
        refused.push({ listener: one.listener.name, certificate: one.label, message: outcome.message });
        continue;
      }
      if (outcome.kind === 'good') {
        changed += 1;
        tellChange(one, trigger);
      } else {
        unchanged += 1;
        if (one.refusal !== undefined) log.info(nameOf(one), 'what is on disk is the certificate in use again');
        if (isImpatient || one.refusal !== undefined) count(one, 'unchanged');
      }
      one.refusal = undefined;
    }
    tryAgain();
    return { result: refused.length > 0 ? 'refused' : changed > 0 ? 'changed' : 'unchanged', changed, unchanged, refused };
  }

  function tryAgain(): void {
    clearTimeout(retry);
    if (pending.size === 0) return;
    const pauses = [...pending].map(({ tries }) => RETRY_MS[tries] ?? 0);
    retry = setTimeout(
      () => {
        const due = [...pending];
        for (const one of due) one.tries += 1;
        void after(() => round(due, false, 'watch')).catch(() => {});
      },
      Math.min(...pauses),
    ).unref();
  }

  /** What is on disk, held against what is in use. */
  async function read(one: Held, files: Files): Promise<Outcome> {
    const paths = filesOf(one);
    const before = await stampsOf(paths);
    const nowMs = Date.now();
    const { certificate, complaints } = await readCertificate(one.serving.source, [], files, nowMs);
    if (certificate === undefined) {
      const messages = complaints.filter(({ severity }) => severity !== 'warning').map((complaint) => describe(one, complaint));
      return { kind: 'bad', message: messages.join('; ') };
    }
    if ((await stampsOf(paths)) !== before) return { kind: 'bad', message: `${one.serving.source.chain}: is being written` };
    const { chainPem } = certificate;
    if (isDeepStrictEqual(toBindingCertificate(certificate), toBindingCertificate(one.serving))) return { kind: 'unchanged' };
    const worse = worseThan(chainPem, one.serving.chainPem, nowMs);
    if (worse !== undefined) return { kind: 'bad', message: `${one.serving.source.chain}: ${worse}` };
    const faults = addon.checkCertificate(toBindingCertificate({ ...certificate, label: one.serving.label }));
    if (faults.length > 0) return { kind: 'bad', message: `${one.serving.source.chain}: ${faults.join('; ')}` };
    return { kind: 'good', certificate };
  }

  /**
   * Gives a listener what is good of `found`, with what it has of the others. Where the reactors do
   * not take it, none of it was good.
   */
  function swap(listener: ListenerSnapshot, found: Map<Held, Outcome>): void {
    const own = held.filter((one) => one.listener === listener);
    const next = own.map((one) => {
      const outcome = found.get(one);
      return outcome?.kind === 'good' ? outcome.certificate : one.serving;
    });
    if (own.every((one, i) => one.serving === next[i])) return;
    try {
      giveCertificates(addon, own[0]?.number ?? 0, { ...listener, certificates: next });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      for (const [one, { kind }] of found) {
        if (one.listener === listener && kind === 'good')
          found.set(one, { kind: 'bad', message: `${one.serving.source.chain}: ${message}` });
      }
      return;
    }
    for (const [i, one] of own.entries()) {
      const certificate = next[i];
      if (certificate === undefined || certificate === one.serving) continue;
      one.serving = certificate;
      one.facts = factsOfChain(certificate.chainPem);
      one.sinceMs = Date.now();
    }
  }

  function tellChange(one: Held, trigger: string): void {
    const { serial, notAfter, issuer, key } = one.facts;
    count(one, 'changed');
    log.info({ ...nameOf(one), trigger, serial, notAfter, issuer, key, names: one.serving.names.slice(0, 8) }, 'certificate changed');
    events.note({ note: CHANGED, upstream: -1, slot: -1, detail: 0, text: `${titleOf(one)}: serial ${serial}, valid until ${notAfter}` });
  }

  /** The same again is not told again. */
  function refuse(one: Held, message: string, trigger: string): void {
    const isKnown = one.refusal?.message === message;
    if (isKnown && trigger === 'watch') return;
    count(one, 'refused');
    one.refusal = { message, atMs: Date.now() };
    if (isKnown) return;
    log.error({ ...nameOf(one), trigger, fault: message, serial: one.facts.serial }, 'certificate refused; the one before stays in use');
    events.note({ note: REFUSED, upstream: -1, slot: -1, detail: 0, text: `${titleOf(one)}: ${message}` });
  }

  /** Those of certificates that were removed. */
  function forgetCounts(): void {
    const known = new Set(
      held.flatMap(({ listener, label }) => CERTIFICATE_RESULTS.map((result) => countKey(listener.name, label, result))),
    );
    for (const key of counts.keys()) if (!known.has(key)) counts.delete(key);
  }

  function count({ listener, label }: Held, result: CertificateResult): void {
    const key = countKey(listener.name, label, result);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
}

/** What the reactors are told of a listener's handshakes. */
function givenOf(listener: ListenerSnapshot | undefined): unknown {
  return listener === undefined ? undefined : [listener.certificates.map(toBindingCertificate), toBindingPolicy(listener)];
}

/** Certificates of `listeners`; those that are as they were keep what is known of them. */
function hold(listeners: Listeners, before: readonly Held[]): Held[] {
  const sinceMs = Date.now();
  return listeners.flatMap(([number, listener]) => {
    const labels = new Map<string, number>();
    return listener.certificates.map((serving) => {
      const times = (labels.get(serving.label) ?? 0) + 1;
      labels.set(serving.label, times);
      const label = times === 1 ? serving.label : `${serving.label} (${times})`;
      const known = before.find(
        (one) => one.listener.name === listener.name && one.label === label && one.serving.chainPem === serving.chainPem,
      );
      const facts = known?.facts ?? factsOfChain(serving.chainPem);
      return { listener, number, label, serving, facts, sinceMs: known?.sinceMs ?? sinceMs, refusal: undefined, tries: 0 };
    });
  });
}

function filesOf({ serving: { source } }: Held): string[] {
  const { chain, key, key_passphrase_file: passphrase, ocsp } = source;
  return [...new Set([chain, key, passphrase, ocsp])].filter((path) => path !== '');
}

function countKey(listener: string, label: string, result: CertificateResult): string {
  return `${listener}\n${label}\n${result}`;
}

function nameOf({ listener, label }: Held): { listener: string; certificate: string } {
  return { listener: listener.name, certificate: label };
}

function titleOf({ listener, label }: Held): string {
  return `${listener.name} ${label}`;
}

/** A complaint with the file that it is about. */
function describe({ serving: { source } }: Held, complaint: Complaint): string {
  return describeAt(fileOf(source, complaint.path[0]), complaint);
}

/** What is complained of, with `file` before it. */
export function describeAt(file: string, { value, message }: Complaint): string {
  const said = value === undefined ? message : `${value} ${message}`;
  return said.startsWith(file) ? said : `${file}: ${said}`;
}

function fileOf(source: CertificateSnapshot['source'], key: string | number | undefined): string {
  return key === 'key' || key === 'key_passphrase_file' || key === 'ocsp' ? source[key] : source.chain;
}

const DAY_MS = 24 * 3_600_000;

function viewOf({ listener, label, serving, facts, sinceMs, refusal }: Held): CertificateView {
  return {
    listener: listener.name,
    certificate: label,
    names: serving.names,
    ...facts,
    daysLeft: Math.floor((Date.parse(facts.notAfter) - Date.now()) / DAY_MS),
    chain: serving.source.chain,
    since: new Date(sinceMs).toISOString(),
    refusal: refusal === undefined ? null : { at: new Date(refusal.atMs).toISOString(), message: refusal.message },
  };
}
