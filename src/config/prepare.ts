/**
 * From a configuration to a snapshot: files read and checked, paths made absolute, backends
 * numbered, everything frozen. All that can fail fails here, before a socket or a shard is touched,
 * and every failure is listed.
 */

import { checkAgreement, type IsMended } from './agreement/agreement.ts';
import { assembleSnapshot } from './assemble/assemble.ts';
import type { ListenerFiles } from './assemble/listener.ts';
import { readAuthorities, readCertificate, readClientCertificate, worseThan } from './certificates/certificates.ts';
import { readClientAuth } from './certificates/client-certificates.ts';
import { readTicketKeys } from './certificates/ticket-keys.ts';
import { type Complaint, hasErrors, type Locate, type Problem, placeComplaints, sortProblems } from './problem.ts';
import { Files } from './read/files.ts';
import { readSecrets } from './read/secrets.ts';
import type { Config } from './schema/config.ts';
import type { Listener } from './schema/listener.ts';
import type { CertificateSnapshot } from './snapshot/listener.ts';
import type { Snapshot } from './snapshot/snapshot.ts';
import type { ClientCertificateSnapshot } from './snapshot/upstream.ts';

/** A snapshot where there is no error; warnings may stand beside it. */
export interface Prepared {
  readonly snapshot?: Snapshot;
  readonly problems: readonly Problem[];
}

/**
 * PEM of the chains that a running edge shows at a listener under a certificate's label; none where
 * it is new. Several may have the same label.
 */
export type InUse = (listener: string, label: string) => readonly string[];

/**
 * Prepares a snapshot. `baseDir` is the folder relative paths start from; `locate` gives problems
 * their lines and may be left out where there is no file; about what `isMended` nothing is said.
 * Never rejects for a mistake in the configuration.
 */
export async function prepareSnapshot(
  config: Config,
  baseDir: string,
  locate: Locate = nowhere,
  isMended: IsMended = () => false,
  inUse: InUse = () => [],
): Promise<Prepared> {
  const files = new Files(baseDir);
  const complaints = checkAgreement(config, isMended);
  const listeners = await readListeners(config.listeners, files, complaints, inUse);
  const authorities = await readAllAuthorities(config.upstreams, files, complaints);
  const clientCertificates = await readClientCertificates(config.upstreams, files, complaints);
  const secrets = await readSecrets(config, files, complaints);
  const problems = sortProblems(
    placeComplaints(
      complaints.filter(({ path }) => !isMended(path)),
      locate,
    ),
  );
  if (hasErrors(problems)) return { problems };

  return {
    snapshot: assembleSnapshot(config, {
      listeners,
      authorities,
      clientCertificates,
      ...secrets,
      absolute: (file) => files.absolute(file),
      digests: files.digests(),
    }),
    problems,
  };
}

async function readListeners(
  listeners: readonly Listener[],
  files: Files,
  complaints: Complaint[],
  inUse: InUse,
): Promise<ListenerFiles[]> {
  const nowMs = Date.now();
  const perListener: ListenerFiles[] = [];
  for (const [place, listener] of listeners.entries()) {
    const usable: CertificateSnapshot[] = [];
    for (const [index, configured] of listener.certificates.entries()) {
      const path = ['listeners', place, 'certificates', index];
      const checked = await readCertificate(configured, path, files, nowMs);
      complaints.push(...checked.complaints);
      if (checked.certificate === undefined) continue;
      usable.push(checked.certificate);
      const worse = worseThanAll(checked.certificate, inUse(listener.name, checked.certificate.label), nowMs);
      if (worse !== undefined)
        complaints.push({
          path: [...path, 'chain'],
          value: configured.chain,
          message: worse,
          expected: 'a chain no worse than the one in use',
        });
    }
    const keysPath = ['listeners', place, 'tls', 'tickets', 'keys_file'];
    const { keys_file: keysFile } = listener.tls.tickets;
    perListener.push({
      certificates: usable,
      ticketKeys: await readTicketKeys(keysFile, keysPath, files, complaints),
      ticketKeysFile: keysFile === '' ? '' : files.absolute(keysFile),
      clientAuth: await readClientAuth(listener, ['listeners', place], files, complaints, nowMs),
    });
  }
  return perListener;
}

/** What is wrong with a certificate that is not wrong with any it could replace. */
function worseThanAll({ chainPem }: CertificateSnapshot, serving: readonly string[], nowMs: number): string | undefined {
  const weaknesses = serving.map((pem) => worseThan(chainPem, pem, nowMs));
  return weaknesses.every((weakness) => weakness !== undefined) ? weaknesses[0] : undefined;
}

/** PEM text of every upstream's own authorities, by path as configured. */
async function readAllAuthorities(upstreams: Config['upstreams'], files: Files, complaints: Complaint[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const [name, { tls }] of Object.entries(upstreams)) {
    if (tls.ca === '') continue;
    const text = await readAuthorities(tls.ca, ['upstreams', name, 'tls', 'ca'], files, complaints);
    if (text !== undefined) texts.set(tls.ca, text);
  }
  return texts;
}

/** What upstreams show to their backends, by upstream. */
async function readClientCertificates(
  upstreams: Config['upstreams'],
  files: Files,
  complaints: Complaint[],
): Promise<Map<string, ClientCertificateSnapshot>> {
  const usable = new Map<string, ClientCertificateSnapshot>();
  for (const [name, { tls }] of Object.entries(upstreams)) {
    if (tls.certificate === '' || tls.key === '') continue;
    const checked = await readClientCertificate(tls, ['upstreams', name, 'tls'], files, Date.now());
    complaints.push(...checked.complaints);
    if (checked.certificate !== undefined) usable.set(name, checked.certificate);
  }
  return usable;
}

function nowhere(): { source: string } {
  return { source: 'configuration' };
}
