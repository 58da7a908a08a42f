/**
 * What upstreams trust and show: the files of `upstreams.<name>.tls` while the edge runs. One that
 * changes on disk is read again, checked as at the start, and given to the reactors of all shards,
 * whose next sessions go by it; what is wrong leaves what is in use, and is told with the name of
 * its file. Each upstream stands for itself (`./follower.ts`).
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
import type { Files } from '../../config/read/files.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { BackendSnapshot, ClientCertificateSnapshot, TrustFilesSnapshot } from '../../config/snapshot/upstream.ts';
import type { Logger } from '../../observe/log.ts';
import type { Events } from '../events.ts';
import { type CertificateResult, type CertificatesAnswer, ResultCounts } from './answer.ts';
import { describeAt, faultsOf } from './describe.ts';
import { type Followed, Follower, type Outcome } from './follower.ts';
import { Rounds } from './rounds.ts';

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

interface Held extends Followed {
  readonly upstream: string;
  /** Its number. */
  readonly number: number;
  trust: UpstreamTrust;
  /** Of the certificate that is shown. */
  facts: CertificateFacts | undefined;
  sinceMs: number;
}

const CHANGED = noteNumber('certificate_changed');
const REFUSED = noteNumber('certificate_refused');

export function createTrust({ snapshot: first, use, events, log }: TrustParts): Trust {
  const counts = new ResultCounts();
  const rounds = new Rounds({
    subject: 'files of upstreams',
    options: first.certificates,
    log,
    paths: () => follower.paths(),
    look: (changed) => follower.look(changed),
  });
  const follower = new Follower<Held, UpstreamTrust>({
    rounds,
    filesOf: ({ trust }) => filesOf(trust),
    read: ({ trust }, files) => read(trust, files),
    take,
    count: ({ upstream }, result) => counts.add(upstream, result),
    tellChange({ upstream, number, facts }, trigger) {
      const { serial, notAfter } = facts ?? {};
      log.info({ upstream, trigger, serial, notAfter }, 'authorities or client certificate of the upstream changed');
      const text = serial === undefined ? 'authorities' : `serial ${serial}, valid until ${notAfter}`;
      events.note({ note: CHANGED, upstream: number, slot: -1, detail: 0, text: `${upstream}: ${text}` });
    },
    tellReturn: ({ upstream }) => log.info({ upstream }, 'authorities and client certificate on disk are the ones in use again'),
    tellRefusal({ upstream, number }, fault, trigger) {
      log.error({ upstream, trigger, fault }, 'authorities or client certificate of the upstream refused; the one before stays in use');
      events.note({ note: REFUSED, upstream: number, slot: -1, detail: 0, text: `${upstream}: ${fault}` });
    },
    nameOf: ({ upstream }) => ({ listener: 'upstream', certificate: upstream }),
  });
  holdAll(first);

  return {
    async start() {
      if (!rounds.isWatching) return;
      await rounds.follow();
      // What changed since it was read has no sign of its own.
      await rounds.after(() => follower.round(follower.held, false, 'start'));
    },
    stop() {
      rounds.stop();
      follower.stop();
    },
    reload: (trigger) => rounds.after(() => follower.round(follower.held, true, trigger)),
    change: (snapshot) =>
      rounds.begin(async () => {
        holdAll(snapshot);
        rounds.change(snapshot.certificates);
        if (!rounds.isWatching) return;
        await rounds.follow();
        await follower.round(follower.held, false, 'reload');
      }),
    view: () => new Map(follower.held.map((one) => [one.upstream, viewOf(one)])),
    counts: () => follower.held.flatMap(({ upstream }) => counts.of(upstream).map((row) => ({ upstream, ...row }))),
  };

  function holdAll(snapshot: TrustParts['snapshot']): void {
    follower.hold(hold(snapshot, follower.held));
    counts.keep(new Set(follower.held.map(({ upstream }) => upstream)));
  }

  /** Puts what is good of `found` to use. */
  async function take(found: ReadonlyMap<Held, Outcome<UpstreamTrust>>): Promise<void> {
    const good = [...found].flatMap(([one, outcome]) => (outcome.kind === 'good' ? [[one, outcome.news] as const] : []));
    if (good.length === 0) return;
    await use(new Map(good.map(([{ upstream }, trust]) => [upstream, trust])));
    for (const [one, trust] of good) {
      one.trust = trust;
      one.facts = factsOf(trust);
      one.sinceMs = Date.now();
    }
  }
}

/** What is on disk, held against what is in use. */
async function read(trust: UpstreamTrust, files: Files): Promise<Outcome<UpstreamTrust>> {
  const nowMs = Date.now();
  const { ca, certificate, key } = trust.files;
  const complaints: Complaint[] = [];
  const caPem = ca === '' ? '' : await readAuthorities(ca, ['ca'], files, complaints);
  const shown = certificate === '' || key === '' ? undefined : await readClientCertificate(trust.files, [], files, nowMs);
  complaints.push(...(shown?.complaints ?? []));
  const faults = faultsOf(complaints, (complaint) => describe(trust.files, complaint));
  if (faults !== '') return { kind: 'bad', message: faults };
  const next: UpstreamTrust = { files: trust.files, caPem: caPem ?? '', clientCertificate: shown?.certificate };
  if (isDeepStrictEqual(next, trust)) return { kind: 'unchanged' };
  const worse = worseThanBundle(next.caPem, trust.caPem, nowMs);
  if (worse !== undefined) return { kind: 'bad', message: `${ca}: ${worse}` };
  const chains = [next.clientCertificate?.chainPem ?? '', trust.clientCertificate?.chainPem ?? ''] as const;
  const worseChain = chains[0] === '' || chains[0] === chains[1] ? undefined : worseThan(...chains, nowMs);
  return worseChain === undefined ? { kind: 'good', news: next } : { kind: 'bad', message: `${certificate}: ${worseChain}` };
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

function filesOf({ files }: UpstreamTrust): string[] {
  const { ca, certificate, key, key_passphrase_file: passphrase } = files;
  return [...new Set([ca, certificate, key, passphrase])].filter((path) => path !== '');
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
