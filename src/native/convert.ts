/**
 * Named converters from the snapshot to what the addon takes. Nothing is decided here: every value
 * has been checked and normalised before, and only its name and place change.
 */
import { hostPort } from '../base/authority.ts';
import type { CertificateSnapshot, ClientAuthSnapshot, ListenerSnapshot } from '../config/snapshot/listener.ts';
import type { BackendSnapshot } from '../config/snapshot/upstream.ts';
import type { BindingAddon, BindingBackend, BindingCertificate, BindingClientAuth, BindingListener, BindingTlsPolicy } from './binding.ts';

/** A listener of the snapshot with its numbers. */
export function toBindingListener(listener: ListenerSnapshot, { place, listener: number, isRetiring }: ListenerPlace): BindingListener {
  return {
    place,
    listener: number,
    isRetiring,
    groups: [...listener.groups],
    maxConnections: listener.maxConnections,
    maxConnectionsPerClient: listener.maxConnectionsPerClient,
    clientPrefix4: listener.clientPrefix4,
    clientPrefix6: listener.clientPrefix6,
    exemptNetworks: [...listener.exemptNetworks],
    quic: { ...listener.quic },
    http: { ...listener.http },
    normalise: { ...listener.normalise },
  };
}

/** Which of the process's listening sockets are a listener's. */
export interface ListenerPlace {
  /** Number of the sockets, one in each shard. */
  readonly place: number;
  /** Number of the listener in the snapshot. */
  readonly listener: number;
  /** It has left them; what is open there ends. */
  readonly isRetiring: boolean;
}

/** A certificate without what only the main thread knows of it. */
export function toBindingCertificate({ label, names, chainPem, keyPem, ocsp }: CertificateSnapshot): BindingCertificate {
  return { label, names: [...names], chainPem, keyPem, ocsp };
}

/** Rules of a listener's handshakes. */
export function toBindingPolicy(listener: ListenerSnapshot): BindingTlsPolicy {
  const { name, unknownName, isStrict, ticketRotationMs, ticketKeys, clientAuth } = listener;
  const clients = clientAuth.map(toBindingClientAuth);
  return { listener: name, unknownName, isStrict, ticketRotationMs, ticketKeys: [...ticketKeys], clients };
}

function toBindingClientAuth(auth: ClientAuthSnapshot): BindingClientAuth {
  const { names, mode, caPem, tellsAuthorities, maxDepth, maxBytes, acceptsExpiredLists, acceptsMissingLists, keepsConnections } = auth;
  return {
    names: [...names],
    mode,
    caPem,
    tellsAuthorities,
    maxDepth,
    maxBytes,
    forward: auth.forward.map((field) => ({ ...field })),
    lists: auth.lists.map(({ signer, nextUpdateMs, serials }) => ({ signer, nextUpdate: Math.floor(nextUpdateMs / 1_000), serials })),
    acceptsExpiredLists,
    acceptsMissingLists,
    denied: auth.denied.map((fingerprint) => new Uint8Array(Buffer.from(fingerprint, 'hex'))),
    allowed: auth.allowed.map(({ dns, uri, email, subject }) => ({ dns, uri, email, subject })),
    keepsConnections,
  };
}

/**
 * Gives a listener the certificates of its snapshot, in all shards at once; `number` is its number
 * in the snapshot. Throws and changes nothing where one cannot be used.
 */
export function giveCertificates(addon: Pick<BindingAddon, 'setCertificates'>, number: number, listener: ListenerSnapshot): void {
  addon.setCertificates(number, listener.certificates.map(toBindingCertificate), toBindingPolicy(listener));
}

/** A backend with the socket addresses its name has just now; none while it is not resolved. */
export function toBindingBackend(backend: BackendSnapshot, addresses: readonly string[]): BindingBackend {
  return {
    slot: backend.slot,
    scheme: backend.scheme,
    authority: hostPort(backend.host, backend.port),
    addresses: [...addresses],
    serverName: backend.serverName,
    isVerified: backend.isVerified,
    caPem: backend.caPem,
    clientChainPem: backend.clientCertificate?.chainPem ?? '',
    clientKeyPem: backend.clientCertificate?.keyPem ?? '',
    minTlsVersion: backend.minTlsVersion,
    maxTlsVersion: backend.maxTlsVersion,
    pins: [...backend.pins],
    maxSessions: backend.maxSessions,
    maxStreamsPerSession: backend.maxStreamsPerSession,
    maxBound: backend.maxBound,
    boundIdleMs: backend.boundIdleMs,
    sessionIdleTimeoutMs: backend.sessionIdleTimeoutMs,
    sessionMaxAgeMs: backend.sessionMaxAgeMs,
    pingIntervalMs: backend.pingIntervalMs,
    pingTimeoutMs: backend.pingTimeoutMs,
    streamWindowBytes: backend.streamWindowBytes,
    sessionWindowBytes: backend.sessionWindowBytes,
    maxHeadBytes: backend.maxHeadBytes,
    maxFields: backend.maxFields,
  };
}
