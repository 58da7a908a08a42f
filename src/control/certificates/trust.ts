/**
 * What upstreams trust and show: the files of `upstreams.<name>.tls` while the edge runs. One that
 * changes on disk is read again, checked as at the start, and given to the reactors of all shards,
 * whose next sessions go by it; what is wrong leaves what is in use, and is told with the name of
 * its file. Each upstream stands for itself. The same rules as for certificates of listeners
 * (`./rotation.ts`).
 */

import { isDeepStrictEqual } from 'node:util';
import { noteNumber } from '../../base/notes.ts';
import {
  type CertificateFacts,
  factsOfChain,
  readAuthorities,
  readClientCertificate,
  worseThan,
  worseThanBundle,
} from '../../config/certificates/certificates.ts';
import { upstreamsOf } from '../../config/numbering/in-use.ts';
import type { Complaint } from '../../config/problem.ts';
import { Files } from '../../config/read/files.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { BackendSnapshot, ClientCertificateSnapshot, TrustFilesSnapshot } from '../../config/snapshot/upstream.ts';
import type { Logger } from '../../observe/log.ts';
import type { Events } from '../events.ts';
import { CERTIFICATE_RESULTS, type CertificateResult, type CertificatesAnswer, describeAt, RETRY_MS } from './rotation.ts';
import { createFileWatch, type FileWatch, stampsOf } from './watch.ts';

/** What the backends of an upstream are held against, and what they are shown. */
export interface UpstreamTrust {
  readonly files: TrustFilesSnapshot;
  readonly caPem: string;
  readonly clientCertificate: ClientCertificateSnapshot | undefined;
}

/** An upstream with such files, as `/v1/upstreams` shows it. */
export interface TrustView {
  /** The certificate that is shown to backends; null where none is. */
  readonly certificate: CertificateFacts | null;
  /** ISO 8601: since when all of it is in use. */
  readonly since: string;
  /** Why what is on disk is not in use; null where it is, as far as known. */
  readonly refusal: { readonly at: string; readonly message: string } | null;
}

export interface Trust {
  start(): Promise<void>;
  stop(): void;
  /** Reads all files again now; `trigger` says in the log who asked. */
  reload(trigger: string): Promise<CertificatesAnswer>;
  /** Another configuration is in force: its files are followed from now on. */
  change(snapshot: TrustParts['snapshot']): void;
  /** By name of the upstream; those without files are left out. */
  view(): ReadonlyMap<string, TrustView>;
  counts(): readonly { readonly upstream: string; readonly result: CertificateResult; readonly count: number }[];
}

export interface TrustParts {
  readonly snapshot: Pick<Snapshot, 'upstreams' | 'backends' | 'numbering' | 'certificates'>;
  /**
   * Has the next sessions of these upstreams go by it, where their files still are what the
   * configuration names.
   */
  readonly use: (found: ReadonlyMap<string, UpstreamTrust>) => Promise<void>;
  readonly events: Pick<Events, 'note'>;
  readonly log: Logger;
}

interface Held {
  readonly upstream: string;
  /** Its number. */
  readonly number: number;
  trust: UpstreamTrust;
  /** Of the certificate that is shown. */
  facts: CertificateFacts | undefined;
  sinceMs: number;
  refusal: { readonly message: string; readonly atMs: number } | undefined;
  /** How often it did not fit since it last did. */
  tries: number;
}

type Outcome =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'good'; readonly trust: UpstreamTrust }
  | { readonly kind: 'bad'; readonly message: string };

const CHANGED = noteNumber('certificate_changed');
const REFUSED = noteNumber('certificate_refused');

export function createTrust({ snapshot: first, use, events, log }: TrustParts): Trust {
  let held = hold(first, []);
  let options = first.certificates;
  const counts = new Map<string, number>();
  let watch: FileWatch | undefined;
  let retry: NodeJS.Timeout | undefined;
  /** Files that did not fit, and are looked at again. */
  const pending = new Set<Held>();
  let isStopped = false;
  /** One round at a time. */
  let working: Promise<unknown> = Promise.resolve();

  return {
    async start() {
      if (!options.isWatched) return;
      await follow();
      // What changed since it was read has no sign of its own.
      await after(() => round(held, false, 'start'));
    },
    stop() {
      isStopped = true;
      watch?.stop();
      clearTimeout(retry);
    },
    reload: (trigger) => after(() => round(held, true, trigger)),
    change(snapshot) {
      void after(async () => {
        held = hold(snapshot, held);
        pending.clear();
        if (snapshot.certificates.isWatched !== options.isWatched || snapshot.certificates.pollMs !== options.pollMs) {
          watch?.stop();
          watch = undefined;
        }
        options = snapshot.certificates;
        if (!options.isWatched || isStopped) return;
        await follow();
        await round(held, false, 'reload');
      }).catch(() => {});
    },
    view: () => new Map(held.map((one) => [one.upstream, viewOf(one)])),
    counts: () =>
      held.flatMap(({ upstream }) =>
        CERTIFICATE_RESULTS.map((result) => ({ upstream, result, count: counts.get(countKey(upstream, result)) ?? 0 })),
      ),
  };

  async function follow(): Promise<void> {
    const onLook = (changed: ReadonlySet<string>): void => void after(() => look(changed)).catch(() => {});
    watch ??= createFileWatch({ pollMs: options.pollMs, log, onLook });
    await watch.follow(paths());
  }

  function after<T>(work: () => Promise<T>): Promise<T> {
    const done = working.then(work);
    working = done.catch((error: unknown) => log.error({ err: error }, 'what upstreams trust and show could not be looked at'));
    return done;
  }

  /**
   * Those whose files changed, and those that were refused: what was wrong may be time, or rights.
   */
  async function look(changed: ReadonlySet<string>): Promise<void> {
    const due = held.filter((one) => one.refusal !== undefined || pathsOf(one).some((path) => changed.has(path)));
    if (due.length > 0) await round(due, false, 'watch');
  }

  function paths(): string[] {
    return held.flatMap(pathsOf);
  }

  async function round(due: readonly Held[], isImpatient: boolean, trigger: string): Promise<CertificatesAnswer> {
    const refused: { listener: string; certificate: string; message: string }[] = [];
    let [changed, unchanged] = [0, 0];
    if (isStopped) return { result: 'unchanged', changed, unchanged, refused };
    const files = new Files('/');
    const found = new Map<Held, Outcome>();
    for (const one of due) found.set(one, await read(one, files));
    await take(found);
    for (const [one, outcome] of found) {
      const isNews = outcome.kind === 'bad' && outcome.message !== one.refusal?.message;
      if (isNews && !isImpatient && one.tries < RETRY_MS.length) {
        pending.add(one);
        continue;
      }
      pending.delete(one);
      one.tries = 0;
      if (outcome.kind === 'bad') {
        refuse(one, outcome.message, trigger);
        refused.push({ listener: 'upstream', certificate: one.upstream, message: outcome.message });
        continue;
      }
      if (outcome.kind === 'good') {
        changed += 1;
        tellChange(one, trigger);
      } else {
        unchanged += 1;
        if (one.refusal !== undefined) log.info({ upstream: one.upstream }, 'what is on disk is what the upstream uses again');
        if (isImpatient || one.refusal !== undefined) count(one, 'unchanged');
      }
      one.refusal = undefined;
    }
    tryAgain();
    return { result: refused.length > 0 ? 'refused' : changed > 0 ? 'changed' : 'unchanged', changed, unchanged, refused };
  }

  /** Puts what is good of `found` to use. */
  async function take(found: ReadonlyMap<Held, Outcome>): Promise<void> {
    const good = [...found].flatMap(([one, outcome]) => (outcome.kind === 'good' ? [[one, outcome.trust] as const] : []));
    if (good.length === 0) return;
    await use(new Map(good.map(([{ upstream }, trust]) => [upstream, trust])));
    for (const [one, trust] of good) {
      one.trust = trust;
      one.facts = factsOf(trust);
      one.sinceMs = Date.now();
    }
  }

  function tryAgain(): void {
    clearTimeout(retry);
    if (pending.size === 0 || isStopped) return;
    const again = (): void => {
      const due = [...pending];
      for (const one of due) one.tries += 1;
      void after(() => round(due, false, 'watch')).catch(() => {});
    };
    retry = setTimeout(again, Math.min(...[...pending].map(({ tries }) => RETRY_MS[tries] ?? 0))).unref();
  }

  function tellChange(one: Held, trigger: string): void {
    const { upstream, number, facts } = one;
    const { serial, notAfter } = facts ?? {};
    count(one, 'changed');
    log.info({ upstream, trigger, serial, notAfter }, 'what the upstream trusts or shows changed');
    const text = serial === undefined ? 'authorities' : `serial ${serial}, valid until ${notAfter}`;
    events.note({ note: CHANGED, upstream: number, slot: -1, detail: 0, text: `${upstream}: ${text}` });
  }

  /** The same again is not told again. */
  function refuse(one: Held, message: string, trigger: string): void {
    const isKnown = one.refusal?.message === message;
    if (isKnown && trigger === 'watch') return;
    count(one, 'refused');
    one.refusal = { message, atMs: Date.now() };
    if (isKnown) return;
    log.error(
      { upstream: one.upstream, trigger, fault: message },
      'what the upstream trusts or shows was refused; the one before stays in use',
    );
    events.note({ note: REFUSED, upstream: one.number, slot: -1, detail: 0, text: `${one.upstream}: ${message}` });
  }

  function count({ upstream }: Held, result: CertificateResult): void {
    const key = countKey(upstream, result);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
}

/** What is on disk, held against what is in use. */
async function read({ trust }: Held, files: Files): Promise<Outcome> {
  const paths = pathsOf({ trust });
  const before = await stampsOf(paths);
  const nowMs = Date.now();
  const { ca, certificate, key } = trust.files;
  const complaints: Complaint[] = [];
  const caPem = ca === '' ? '' : await readAuthorities(ca, ['ca'], files, complaints);
  const shown = certificate === '' || key === '' ? undefined : await readClientCertificate(trust.files, [], files, nowMs);
  complaints.push(...(shown?.complaints ?? []));
  const faults = complaints.filter(({ severity }) => severity !== 'warning').map((complaint) => describe(trust.files, complaint));
  if (faults.length > 0) return { kind: 'bad', message: faults.join('; ') };
  if ((await stampsOf(paths)) !== before) return { kind: 'bad', message: `${paths[0]}: is being written` };
  const next: UpstreamTrust = { files: trust.files, caPem: caPem ?? '', clientCertificate: shown?.certificate };
  if (isDeepStrictEqual(next, trust)) return { kind: 'unchanged' };
  const worse = worseThanBundle(next.caPem, trust.caPem, nowMs);
  if (worse !== undefined) return { kind: 'bad', message: `${ca}: ${worse}` };
  const chains = [next.clientCertificate?.chainPem ?? '', trust.clientCertificate?.chainPem ?? ''] as const;
  const worseChain = chains[0] === '' || chains[0] === chains[1] ? undefined : worseThan(...chains, nowMs);
  return worseChain === undefined ? { kind: 'good', trust: next } : { kind: 'bad', message: `${certificate}: ${worseChain}` };
}

/** A complaint with the file that it is about. */
function describe(files: TrustFilesSnapshot, complaint: Complaint): string {
  const [key] = complaint.path;
  return describeAt(key === 'ca' || key === 'key' || key === 'key_passphrase_file' ? files[key] : files.certificate, complaint);
}

/** Upstreams that have such files; those that use what they used keep what is known of them. */
function hold(snapshot: Pick<Snapshot, 'upstreams' | 'backends' | 'numbering'>, before: readonly Held[]): Held[] {
  const sinceMs = Date.now();
  return upstreamsOf(snapshot).flatMap(([number, { name, slots, trustFiles: files }]) => {
    const backend = snapshot.backends[slots[0] ?? -1];
    if (files === undefined || backend === undefined) return [];
    const trust = { files, ...trustOf(backend) };
    const known = before.find(({ upstream, trust: used }) => upstream === name && isDeepStrictEqual(used, trust));
    return [
      {
        upstream: name,
        number,
        trust,
        facts: known?.facts ?? factsOf(trust),
        sinceMs: known?.sinceMs ?? sinceMs,
        refusal: undefined,
        tries: 0,
      },
    ];
  });
}

function trustOf({ caPem, clientCertificate }: BackendSnapshot): Omit<UpstreamTrust, 'files'> {
  return { caPem, clientCertificate };
}

/**
 * A snapshot in which the backends of these upstreams are held against, and shown, what was found.
 */
export function withTrust(snapshot: Snapshot, found: ReadonlyMap<string, UpstreamTrust>): Snapshot {
  const files = new Map(upstreamsOf(snapshot).map(([, { name, trustFiles }]) => [name, trustFiles]));
  const backends = snapshot.backends.map((backend) => {
    const trust = found.get(backend.upstream);
    // A reload may have named others meanwhile.
    if (trust === undefined || !isDeepStrictEqual(files.get(backend.upstream), trust.files)) return backend;
    const { caPem, clientCertificate } = trust;
    return Object.freeze({ ...backend, caPem, clientCertificate });
  });
  return Object.freeze({ ...snapshot, backends: Object.freeze(backends) });
}

function pathsOf({ trust: { files } }: Pick<Held, 'trust'>): string[] {
  const { ca, certificate, key, key_passphrase_file: passphrase } = files;
  return [...new Set([ca, certificate, key, passphrase])].filter((path) => path !== '');
}

function countKey(upstream: string, result: CertificateResult): string {
  return `${upstream}\n${result}`;
}

function factsOf({ clientCertificate }: UpstreamTrust): CertificateFacts | undefined {
  return clientCertificate === undefined ? undefined : factsOfChain(clientCertificate.chainPem);
}

function viewOf({ facts, sinceMs, refusal }: Held): TrustView {
  return {
    certificate: facts ?? null,
    since: new Date(sinceMs).toISOString(),
    refusal: refusal === undefined ? null : { at: new Date(refusal.atMs).toISOString(), message: refusal.message },
  };
}
