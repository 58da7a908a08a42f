/** Listeners and their certificates, as a snapshot has them. */

import type { ClientCertificates } from '../schema/client-certificates.ts';
import type { Certificate, Listener } from '../schema/listener.ts';

export interface CertificateSnapshot {
  /** What it is called in logs and metrics. */
  readonly label: string;
  /** Never empty: those of the leaf where none are configured. */
  readonly names: readonly string[];
  readonly chainPem: string;
  /** PKCS#8, not encrypted. */
  readonly keyPem: string;
  /** OCSP response in DER; empty for none. */
  readonly ocsp: Uint8Array;
  /** As configured, its paths absolute: what a rotation reads again. */
  readonly source: Certificate;
}

/** What clients must prove with a certificate of their own. */
export interface ClientAuthSnapshot {
  /** Server names that it is for; none for all others. */
  readonly names: readonly string[];
  readonly mode: 'off' | 'optional' | 'required' | 'any';
  /** Certificates of the authorities. */
  readonly caPem: string;
  /** Whether clients are told their names. */
  readonly tellsAuthorities: boolean;
  readonly maxDepth: number;
  readonly maxBytes: number;
  /** In which fields backends are told of it. */
  readonly forward: readonly ForwardFieldSnapshot[];
  readonly lists: readonly RevocationSnapshot[];
  readonly acceptsExpiredLists: boolean;
  readonly acceptsMissingLists: boolean;
  /** SHA-256, hex. */
  readonly denied: readonly string[];
  readonly allowed: ClientCertificates['allow'];
  readonly keepsConnections: boolean;
  /** As configured, its paths absolute: what is read again when a file changes. */
  readonly source: ClientCertificates;
}

/** A field that tells backends something of a client's certificate. */
export interface ForwardFieldSnapshot {
  /** Lower-case. */
  readonly name: string;
  readonly fact: 'certificate' | 'chain' | 'verdict' | 'fingerprint' | 'serial' | 'subject' | 'issuer' | 'names';
}

/** A revocation list whose signature was verified. */
export interface RevocationSnapshot {
  /** SHA-256 of the certificate of the authority that signed it. */
  readonly signer: Uint8Array;
  readonly signerName: string;
  readonly thisUpdateMs: number;
  /** Infinity where it does not say so. */
  readonly nextUpdateMs: number;
  /** How many certificates it names. */
  readonly count: number;
  /** Serial numbers, each with its length before it. */
  readonly serials: Uint8Array;
}

/** How files of certificates are followed. */
export interface CertificatesSnapshot {
  readonly isWatched: boolean;
  readonly pollMs: number;
}

export interface ListenerSnapshot {
  readonly name: string;
  /** `ip:port`; port 0 takes a free one. */
  readonly address: string;
  readonly certificates: readonly CertificateSnapshot[];
  /** What becomes of clients that ask for no name which a certificate is for. */
  readonly unknownName: 'default' | 'refuse';
  /** Requests for authorities that the handshake's certificate does not name get 421. */
  readonly isStrict: boolean;
  /** Key exchange in order of preference. */
  readonly groups: readonly string[];
  readonly ticketRotationMs: number;
  /** Keys of session tickets, the first seals; none where the process makes its own. */
  readonly ticketKeys: readonly Uint8Array[];
  /** Absolute; empty where the process makes its own. */
  readonly ticketKeysFile: string;
  /** What clients must prove; the first is for all names that no other is for. */
  readonly clientAuth: readonly ClientAuthSnapshot[];
  /** Of all shards. */
  readonly maxConnections: number;
  /** Of all shards; 0 for no such limit. */
  readonly maxConnectionsPerClient: number;
  /** Bits of an address that make a client, by family. */
  readonly clientPrefix4: number;
  readonly clientPrefix6: number;
  /** CIDR blocks that have no such limit. */
  readonly exemptNetworks: readonly string[];
  /** These three as they are configured: the reactor reads them by key. */
  readonly quic: Readonly<Listener['quic']>;
  readonly http: Readonly<Listener['http']>;
  readonly normalise: Readonly<Listener['normalise']>;
  /** Proxies of one's own: what they say of the client is believed. */
  readonly trustedNetworks: readonly TrustedNetworkSnapshot[];
}

export interface TrustedNetworkSnapshot {
  /** An address or a CIDR block. */
  readonly network: string;
  /** Lower case: the field in which its proxies tell the client. */
  readonly field: string;
}

/**
 * Different fields in which proxies tell the client: as many as a memo tells apart
 * (`src/lane/memo.ts`).
 */
export const MAX_CLIENT_FIELDS = 7;
