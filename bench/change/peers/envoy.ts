/**
 * Envoy: listeners, routes and secrets as files that it watches (LDS, RDS, SDS), put in their
 * places by renames. JSON is YAML.
 */

import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, launch, versionOf } from '../../chaos/peers/peer.ts';
import { findPeer } from './find.ts';
import { logOf, type Peer, putFile, type Stage, type Told, whenServing } from './peer.ts';

const program = findPeer('envoy', 'ENVOY');

export const envoy: Peer = {
  name: 'Envoy',
  source: 'bench/peers.sh, or ENVOY',
  version: () => versionOf(program, ['--version']),
  ways: { certificates: 'SDS', routes: 'RDS', listeners: 'LDS', 'client CAs': 'SDS', 'ticket keys': 'SDS' },
  start: async (stage) => {
    const admin = await freePort();
    const at = (name: string): string => join(stage.folder, name);
    writeAll(stage, at);
    writeFileSync(
      at('envoy.json'),
      JSON.stringify({
        node: { id: 'edge', cluster: 'edge' },
        admin: { address: address(admin) },
        dynamic_resources: { lds_config: watched(stage, 'lds.json') },
        static_resources: { clusters: [cluster(stage)] },
      }),
    );
    const child = launch('Envoy', stage.folder, [
      ...[program ?? 'envoy', '-c', at('envoy.json'), '--concurrency', '1', '--log-level', 'warning', '--use-dynamic-base-id'],
    ]);
    return whenServing(stage, child, 'Envoy', async (): Promise<Told> => {
      const before = [logOf(stage, 'Envoy').length, await rejected(admin)] as const;
      writeAll(stage, at);
      if (stage.serial >= 0) return { isRefused: false, text: '' };
      await sleep(1_000);
      const lines = logOf(stage, 'Envoy').slice(before[0]).trim();
      return {
        isRefused: (await rejected(admin)) > before[1] || lines !== '',
        text: `${lines} (update_rejected: ${await rejected(admin)})`,
      };
    });
  },
};

/** Updates that were refused, of all kinds. */
async function rejected(admin: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats?filter=update_rejected|ssl_context_update`)).text();
  return text
    .split('\n')
    .filter((line) => line.includes('update_rejected'))
    .reduce((sum, line) => sum + Number(line.split(': ')[1] ?? 0), 0);
}

/**
 * Each file only where it changes with the kind, for Envoy takes up whatever was renamed into its
 * place.
 */
function writeAll(stage: Stage, at: (name: string) => string): void {
  const { kind, serial } = stage;
  const isFirst = serial === 0;
  if (isFirst || kind === 'certificates') {
    const version = `${serial}-${process.hrtime.bigint()}`;
    const [chain, key] = [at(`chain-${version}.pem`), at(`key-${version}.pem`)];
    copyFileSync(stage.chainPath, chain);
    copyFileSync(stage.keyPath, key);
    secret(at('certificate.json'), 'certificate', {
      tls_certificate: { certificate_chain: { filename: chain }, private_key: { filename: key } },
    });
  }
  if (kind === 'client CAs') {
    const version = at(`ca-${serial}-${process.hrtime.bigint()}.pem`);
    copyFileSync(stage.caPath, version);
    secret(at('ca.json'), 'ca', { validation_context: { trusted_ca: { filename: version } } });
  }
  if (kind === 'ticket keys') {
    const version = at(`tickets-${serial}-${process.hrtime.bigint()}.keys`);
    copyFileSync(stage.ticketPath, version);
    secret(at('tickets.json'), 'tickets', { session_ticket_keys: { keys: [{ filename: version }] } });
  }
  if (isFirst || kind === 'routes') {
    const headers = [{ header: { key: 'x-mark', value: String(stage.mark) }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }];
    const hosts = [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'web', timeout: '0s' } }] }];
    const route = {
      '@type': type('config.route.v3.RouteConfiguration'),
      name: 'routes',
      virtual_hosts: hosts,
      response_headers_to_add: headers,
    };
    putFile(at('rds.json'), JSON.stringify({ resources: [route] }));
  }
  if (isFirst || kind === 'listeners') {
    const listeners = [
      listener(stage, 'public', stage.port),
      ...(stage.extraPort === 0 ? [] : [listener(stage, `extra-${stage.extraPort}`, stage.extraPort)]),
    ];
    putFile(at('lds.json'), JSON.stringify({ resources: listeners }));
  }
}

function secret(path: string, name: string, what: object): void {
  putFile(path, JSON.stringify({ resources: [{ '@type': type('extensions.transport_sockets.tls.v3.Secret'), name, ...what }] }));
}

const type = (name: string): string => `type.googleapis.com/envoy.${name}`;
const address = (port: number, protocol: 'TCP' | 'UDP' = 'TCP'): object => ({
  socket_address: { protocol, address: '127.0.0.1', port_value: port },
});
const watched = ({ folder }: Stage, name: string): object => ({
  resource_api_version: 'V3',
  path_config_source: { path: join(folder, name), watched_directory: { path: folder } },
});

function listener(stage: Stage, name: string, port: number): object {
  const context = {
    tls_certificate_sds_secret_configs: [{ name: 'certificate', sds_config: watched(stage, 'certificate.json') }],
    ...(stage.kind === 'client CAs' ? { validation_context_sds_secret_config: { name: 'ca', sds_config: watched(stage, 'ca.json') } } : {}),
  };
  const socket = {
    name: 'envoy.transport_sockets.quic',
    typed_config: {
      '@type': type('extensions.transport_sockets.quic.v3.QuicDownstreamTransport'),
      downstream_tls_context: {
        common_tls_context: context,
        ...(stage.kind === 'ticket keys'
          ? { session_ticket_keys_sds_secret_config: { name: 'tickets', sds_config: watched(stage, 'tickets.json') } }
          : {}),
      },
    },
  };
  const manager = {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      codec_type: 'HTTP3',
      stat_prefix: name,
      rds: { route_config_name: 'routes', config_source: watched(stage, 'rds.json') },
      http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': type('extensions.filters.http.router.v3.Router') } }],
    },
  };
  return {
    '@type': type('config.listener.v3.Listener'),
    name,
    address: address(port, 'UDP'),
    udp_listener_config: { quic_options: {}, downstream_socket_config: { prefer_gro: false } },
    filter_chains: [{ transport_socket: socket, filters: [manager] }],
  };
}

function cluster({ backend }: Stage): object {
  return {
    name: 'web',
    type: 'STATIC',
    connect_timeout: '5s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': type('extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: 'web', endpoints: [{ lb_endpoints: [{ endpoint: { address: address(backend.h2Port) } }] }] },
  };
}
