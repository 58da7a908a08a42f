/**
 * A configuration in which every part of routing, choosing and surviving is used, as an operator
 * would write it.
 */
export const EVERYTHING = `version: 1
listeners:
  - name: public
    address: 127.0.0.1:8443
    certificates: [{ names: [localhost], chain: certs/dev.pem, key: certs/dev.key }]
    normalise: { merge_slashes: false, escaped_slashes: reject }
    per_client: { max_connections: 50, by: "client/24,56", exempt: [192.0.2.1/24] }
    trusted_networks: [10.1.2.3/8, { network: "2001:DB8:0::1/32", field: X-Real-IP }]
admin: { address: off }
store: { url: "redis://user:secret@127.0.0.1:6379/2", prefix: "edge:", timeout: 20ms }
tenants:
  acme: { hosts: ["*.acme.test"], limits: { in_flight: 100, rate: [{ requests: 1000 }] } }
  globex: { header: X-Tenant, limits: { rate: [{ requests: 5, per: 1m, shared: true }] } }
  initech: { path: /initech }
upstreams:
  web:
    backends:
      - { url: "https://a.test", labels: { version: stable }, zone: eu }
      - { url: "https://b.test", labels: { version: canary }, zone: us, weight: 50 }
      - { url: "https://c.test", labels: { version: stable }, tier: 3 }
    balance:
      policy: ring-hash
      keys: [header:X-User, "client/24,56"]
      ring_points: 50
      load_bound: none
      sticky: { cookie: stay, path: /shop, max_age: 1h, key: 0123456789abcdef0123456789abcdef }
    breaker: { failures: timeout, statuses: [500, 502-504], grpc_statuses: [14, internal], consecutive: none, rate: 50%, count: 7, eject: 1s, probes: 3 }
    outliers: { enabled: true, deviations: 2.5 }
    max_ejected: 30%
    panic_below: none
    slow_start: 30s
    health: { path: /up, statuses: 2xx, body: fine, port: 8080 }
    limits: { in_flight: 200, queue: 50, adaptive: { algorithm: aimd, initial: 10, brownout: { low: 0.5 } } }
    retry_budget: { ratio: 10%, min_per_second: 0.5 }
    locality: { zone: eu, healthy_share: 0.8 }
  spare:
    backends: [{ url: "http://d.test" }]
    balance: { policy: maglev, keys: path, table_size: 251, sticky: { by: connection } }
    health: {}
    limits: { overload: { target: 20ms, queue: 100, max_wait: 1s, standing_wait: 50ms } }
routes:
  - name: orders
    match:
      host: "*.shop.test"
      path: /orders/%7euser%2fx
      methods: [get, POST]
      headers: { X-Canary: 1, x-version: { regex: "v[0-9]+" }, x-debug: { present: false } }
      query: { q: { prefix: a } }
      cookies: { beta: { present: true }, theme: { contains: dark } }
      networks: [192.0.2.0/24, "::1"]
      client_certificate: { verdict: verified, dns: "*.Shop.test", fingerprint: "${'AB:'.repeat(31)}CD" }
    split:
      - { upstream: web, weight: 90, subset: { version: stable } }
      - { upstream: web, weight: 10, subset: { version: canary } }
    split_by: [cookie:session, client]
    fallback: { respond: { status: 503, body: "Später.", headers: { Retry-After: 10 } } }
    timeouts: { attempt: 2s, exchange: 10s, deadline_header: X-Deadline, grpc: true }
    retries: { attempts: 2, failures: [connect, timeout], statuses: [502, 503], grpc_statuses: unavailable, methods: POST, backoff: none, retry_after: 2s, buffer: 1KiB }
    hedge: { percentile: 99%, max_delay: 300ms }
    limits:
      in_flight: 20
      queue: 10
      queue_timeout: 50ms
      rate:
        - { name: each, by: client/32, requests: 10, per: 1s, burst: 20 }
        - { by: [header:x-key, route], requests: 100, shared: true, on_store_failure: refuse, max_keys: 10 }
    access: { allow: [192.0.2.0/24], deny: 192.0.2.66, client_certificates: [{ uri: { prefix: "spiffe://shop.test/" } }], deny_client_certificates: [{ serial: "0a:1b" }] }
    priority: high
    rewrite: { strip_prefix: /orders, replace_prefix: /v2 }
    request_headers: { remove: X-Internal-*, set: { x-real-ip: "\${client_address}" }, add: { x-user: "\${header:X-User}" } }
    response_headers: { append: { vary: accept }, set: { x-backend: "\${upstream}/\${backend}" } }
    host: orders.internal:8080
    forwarded: { style: both, trusted: keep }
    via: edge.example.com:443
  - { match: { path_regex: "/v([0-9]+)/.*", tenant: acme }, upstream: spare, rewrite: { regex: "^/v([0-9]+)", replacement: "/api-$1" }, retries: 3 }
  - { match: { path: /, tenant: globex }, upstream: spare, fallback: { upstream: web } }
  - { match: { path: /, tenant: initech }, upstream: web, subset: { version: stable }, host: backend }
  - { match: { host: old.test }, redirect: { status: 308, scheme: https, host: new.test, path: /moved, keep_query: false } }
  - { match: { host: old.test, path: /a }, redirect: { replace_prefix: /b } }
  - { match: { path: /ping, exact: true }, respond: { body: pong } }
`;
