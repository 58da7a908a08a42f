/**
 * A snapshot for tests of the control room: one listener, one upstream with one backend, one route,
 * small numbers.
 */
import type { Snapshot } from '../../../src/config/snapshot/snapshot.ts';
import { certificates } from '../../support/certificates.ts';
import { sampleSnapshot } from '../../support/snapshots.ts';

export function testSnapshot(changes: Partial<Snapshot> = {}): Snapshot {
  const sample = sampleSnapshot({
    listeners: [
      {
        name: 'public',
        certificates: [
          {
            label: 'localhost',
            names: ['localhost'],
            chainPem: certificates().chain,
            keyPem: 's3cret',
            ocsp: new Uint8Array(),
            source: { name: '', names: ['localhost'], chain: '/none.pem', key: '/none.key', key_passphrase_file: '', ocsp: '' },
          },
        ],
        maxConnections: 10,
        quic: { max_streams: 10, connection_window: 65_536, receive_buffer: 65_536, send_buffer: 65_536 },
      },
    ],
    upstreams: [{ backends: [{ weight: 1, maxSessions: 1, maxStreamsPerSession: 1 }] }],
    routes: [{ name: 'all', forwarded: 'off' }],
    log: { isAccessLogged: false },
    limits: { maxExchanges: 16, maxHeldBytes: 2 ** 30, statelessReplies: 1000 },
  });
  return {
    ...sample,
    generation: 'sound',
    certificates: { isWatched: false, pollMs: 10_000 },
    shards: { count: 2, stallTimeoutMs: 500 },
    admin: { address: '127.0.0.1:0', token: '', maxConnections: 256, probesAddress: '' },
    drain: { timeoutMs: 1_000, delayMs: 0 },
    ...changes,
  };
}
