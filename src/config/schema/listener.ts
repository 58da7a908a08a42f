/** `listeners`: where clients come in, with which certificates, and what one connection may use. */

import type { z } from 'zod';
import { clientCertificates, clientCertificatesByName } from './client-certificates.ts';
import { list, mapping, section, words } from './groups.ts';
import { CLIENT_KEY_RULE } from './key.ts';
import { NETWORK_RULE } from './network.ts';
import { ADDRESS_RULE, CERTIFICATE_NAME_RULE, FILE_RULE, NAME_RULE } from './rules.ts';
import { trustedNetworks } from './trusted.ts';
import { choice, duration, flag, integer, looseText, size, text } from './values.ts';

const certificate = mapping('A certificate chain with its key.', {
  name: text(NAME_RULE, {
    absent: '',
    prose: 'Name in logs and metrics; the first of `names` where it is left out.',
    example: 'www-ecdsa',
  }),
  names: words(
    'Names this chain answers for; each must be covered by the leaf certificate. All that the leaf has where they are left out. Several certificates may answer for a name: of those that are valid now, and whose signature the client can verify, ECDSA comes before RSA and a later end before an earlier one.',
    text(CERTIFICATE_NAME_RULE, { prose: 'Host name, wildcard of one label, or IP address.', example: 'localhost' }),
    { example: ['localhost'] },
  ),
  chain: text(FILE_RULE, { prose: 'PEM file: the leaf first, then the intermediates. All of it is sent.', example: 'certs/dev.pem' }),
  key: text(FILE_RULE, { prose: 'PEM file of the private key; it may be the same file.', example: 'certs/dev.key', isSecret: true }),
  key_passphrase_file: text(FILE_RULE, {
    absent: '',
    prose: 'File whose first line is the pass phrase of an encrypted key.',
    example: 'certs/dev.pass',
    isSecret: true,
  }),
  ocsp: text(FILE_RULE, {
    absent: '',
    prose: 'File with an OCSP response (DER), what the issuer says of its revocation; given to clients that ask for it.',
    example: 'certs/dev.ocsp',
  }),
});

const tickets = section('Session tickets (RFC 8446 §4.6.1), with which a client that comes back spares itself and the edge a signature.', {
  rotation: duration({
    min: '1m',
    max: '84h',
    fallback: '12h',
    prose: 'So often a new key seals them. Old keys open them for two periods more. Without `keys_file` only.',
  }),
  keys_file: text(FILE_RULE, {
    absent: '',
    prose:
      'Keys that several edges share instead: a line each, 48 or 80 bytes in base64 (`openssl rand -base64 -A 80`), or one key as it is. The first seals, all open. The file must not be readable by others.',
    example: 'tickets.keys',
    isSecret: true,
  }),
});

const tls = section('TLS 1.3 of QUIC (RFC 9001).', {
  unknown_name: choice(['default', 'refuse'], {
    fallback: 'default',
    prose:
      'Clients that send no server name, an IP address, or a name that no certificate is for: `default` gives them the first certificate, `refuse` ends the handshake (unrecognized_name; missing_extension without a name).',
  }),
  strict: flag({
    fallback: false,
    prose:
      'Requests for a host that the certificate of the connection does not name get 421 (Misdirected Request); off, the routes alone decide. Hosts that it names are served in either case: browsers use one connection for all of them.',
  }),
  groups: words(
    'Key exchange in order of preference.',
    choice(['X25519MLKEM768', 'X25519', 'P-256', 'P-384', 'P-521'], { prose: 'A group.' }),
    { fallback: ['X25519MLKEM768', 'X25519', 'P-256', 'P-384'], insteadOfNone: 'X25519' },
  ),
  tickets,
  client_certificates: clientCertificates,
});

/** Files of certificates while the edge runs. */
export const certificates = section('How files of certificates are followed. Other files of a configuration are read at the start.', {
  watch: flag({
    fallback: true,
    prose:
      'Chains and keys that change on disk are checked and used for new handshakes, as are authorities, certificates and keys of upstreams; what is wrong leaves the old ones in use.',
  }),
  poll: duration({
    min: '1s',
    max: '1h',
    fallback: '10s',
    prose: 'How often files are looked at besides, for file systems that tell nobody of changes (NFS, some container volumes).',
  }),
});

const perClient = section('What one client may have of it, told by its address. It counts once its handshake has shown that it is there.', {
  max_connections: integer({
    min: 1,
    max: 10_000_000,
    fallback: 'none',
    none: 0,
    prose:
      'Connections open at once, of all shards. Further ones are refused with CONNECTION_REFUSED. Many may share an address: leave room for an office or a mobile network behind one.',
  }),
  by: text(CLIENT_KEY_RULE, {
    fallback: 'client',
    prose: 'How much of an address makes a client: a whole one of IPv4, the /64 of an IPv6 one.',
  }),
  exempt: words(
    'From these blocks as many come as will; from `trusted_networks` too, since a proxy comes for many.',
    looseText(NETWORK_RULE, { prose: 'An address or a block.', example: '10.0.0.0/8' }),
    { example: ['10.0.0.0/8'] },
  ),
});

const quic = section('QUIC transport of one connection (RFC 9000).', {
  idle_timeout: duration({
    min: '1s',
    max: '1h',
    fallback: '30s',
    prose: 'A connection on which nothing was heard for so long is dropped.',
  }),
  keep_alive: duration({
    min: '1s',
    max: '1h',
    fallback: '10s',
    none: 0,
    prose:
      'While a request is open the client is asked so often whether it is still there (PING), so that an answer that is long in coming, or a quiet event stream, outlives the idle timeout. Never later than half the idle timeout of either side.',
  }),
  handshake_timeout: duration({ min: '1s', max: '5m', fallback: '10s', prose: 'A connection whose handshake takes longer is dropped.' }),
  congestion: choice(['cubic', 'bbr'], {
    fallback: 'bbr',
    prose:
      'Congestion control of what is sent to clients: `bbr` (version 2) stays fast over long and lossy paths, `cubic` halves its rate at a loss.',
  }),
  max_streams: integer({ min: 1, max: 100_000, fallback: 128, prose: 'Requests a client may have open at once on one connection.' }),
  stream_window: size({
    min: '1KiB',
    max: '64MiB',
    fallback: '2MiB',
    prose:
      'Bytes of a request body held for a backend that does not take them yet, a stream. A client sends no more than this in a round trip.',
  }),
  connection_window: size({
    min: '16KiB',
    max: '1GiB',
    fallback: '8MiB',
    prose: 'The same for all streams of a connection together: what one client can make the edge hold.',
  }),
  max_udp_payload: integer({
    min: 1200,
    max: 65_527,
    fallback: 1452,
    prose:
      'Bytes of the largest datagram sent. What a path carries is found out; nothing above this is tried. 1,452 fills an Ethernet frame with IPv6.',
  }),
  gso: flag({ fallback: true, prose: 'Hand many datagrams to the kernel at once (UDP_SEGMENT) where it can.' }),
  gro: flag({ fallback: true, prose: 'Take many datagrams from the kernel at once (UDP_GRO) where it can.' }),
  pacing: flag({ fallback: true, prose: 'Spread what is sent over the round trip instead of sending it in bursts.' }),
  receive_buffer: size({ min: '64KiB', max: '1GiB', fallback: '4MiB', prose: 'Receive buffer of each socket; the kernel may grant less.' }),
  send_buffer: size({ min: '64KiB', max: '1GiB', fallback: '4MiB', prose: 'Send buffer of each socket; the kernel may grant less.' }),
});

const http = section('HTTP/3 of one exchange (RFC 9114).', {
  max_head: size({
    min: '1KiB',
    max: '60KiB',
    fallback: '16KiB',
    prose: 'Size of a request head, each field counted as name, value and 32 bytes (RFC 9114 §4.2.2). Larger heads get 431.',
  }),
  min_rate: integer({
    min: 1,
    max: 1_000_000_000,
    fallback: 100,
    none: 0,
    prose:
      'Bytes a second that a client has to take of a response that waits for it, and to send of a body that has no response yet. Slower ones get 408, or their stream is reset. Not for gRPC and event streams.',
  }),
  min_rate_period: duration({ min: '1s', max: '1h', fallback: '60s', prose: 'Time over which `min_rate` is measured.' }),
  max_fields: integer({ min: 1, max: 1000, fallback: 100, prose: 'Fields of a request head, its cookies counted as one. More get 431.' }),
  max_cookie_crumbs: integer({
    min: 1,
    max: 2000,
    fallback: 512,
    prose:
      'Cookie fields of a request head: browsers send one for each cookie, without its 32 bytes in `max_head`. More get 431. Backends get one field.',
  }),
});

const normalise = section(
  'Heads are made canonical before anything looks at them, so that routes, limits, logs and backends see one form.',
  {
    enabled: flag({
      fallback: true,
      prose: 'Without it heads pass as they came, and rules about paths are only as good as the backend reads paths in the same way.',
    }),
    merge_slashes: flag({ fallback: true, prose: '`//` in a path becomes `/`.' }),
    escaped_slashes: choice(['keep', 'reject'], {
      fallback: 'keep',
      prose: 'What becomes of `%2F` and `%5C` in a path: they stay as they are, or the request gets 400.',
    }),
  },
);

export const listener = mapping('An address on which HTTP/3 is served.', {
  name: text(NAME_RULE, { prose: 'Name in logs and metrics, unique.', example: 'public' }),
  address: text(ADDRESS_RULE, { prose: 'IP address and UDP port; port 0 takes a free one.', example: '127.0.0.1:8443' }),
  certificates: list(
    "Certificates; the client's server name (SNI) chooses: an exact name before a wildcard. The first, with the others for its first name, is the default.",
    certificate,
  ),
  tls,
  client_certificates: clientCertificatesByName,
  max_connections: integer({
    min: 1,
    max: 10_000_000,
    fallback: 100_000,
    prose: 'Connections open at once, of all shards. Further ones are refused with CONNECTION_REFUSED.',
  }),
  per_client: perClient,
  quic,
  http,
  normalise,
  trusted_networks: trustedNetworks,
});

export type Listener = z.output<typeof listener>;
export type Certificate = z.output<typeof certificate>;
