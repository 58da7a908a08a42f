/** Listeners of a snapshot. */

import { keyOf } from '../schema/key.ts';
import type { Listener } from '../schema/listener.ts';
import type { CertificateSnapshot, ClientAuthSnapshot, ListenerSnapshot } from '../snapshot/listener.ts';

/** What was read for a listener. */
export interface ListenerFiles {
  /** Those that are usable. */
  readonly certificates: readonly CertificateSnapshot[];
  readonly ticketKeys: readonly Uint8Array[];
  /** Absolute, or empty. */
  readonly ticketKeysFile: string;
  readonly clientAuth: readonly ClientAuthSnapshot[];
}

/**
 * A listener with the certificates that were read for it; proxies that are said to write no field
 * of their own tell the client in `clientField`.
 */
export function listenerSnapshot(
  listener: Listener,
  { certificates, ticketKeys, ticketKeysFile, clientAuth }: ListenerFiles,
  clientField: string,
): ListenerSnapshot {
  const { tls, quic, http, normalise, per_client: perClient } = listener;
  const { prefix4, prefix6 } = keyOf(perClient.by);
  return {
    name: listener.name,
    address: listener.address,
    certificates,
    unknownName: tls.unknown_name,
    isStrict: tls.strict,
    groups: tls.groups,
    ticketRotationMs: tls.tickets.rotation,
    ticketKeys,
    ticketKeysFile,
    clientAuth,
    maxConnections: listener.max_connections,
    maxConnectionsPerClient: perClient.max_connections,
    clientPrefix4: prefix4,
    clientPrefix6: prefix6,
    exemptNetworks: [...perClient.exempt, ...listener.trusted_networks.map(({ network }) => network)],
    quic,
    http,
    normalise,
    trustedNetworks: listener.trusted_networks.map(({ network, field }) => ({ network, field: field === '' ? clientField : field })),
  };
}
