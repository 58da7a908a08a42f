/**
 * Traefik: what it calls dynamic, by a file that it watches; entry points are not. JSON is YAML.
 */

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch, versionOf } from '../../chaos/peers/peer.ts';
import { findPeer } from './find.ts';
import { type Peer, putFile, type Stage, toldByLog, whenServing } from './peer.ts';

const program = findPeer('traefik', 'TRAEFIK');

export const traefik: Peer = {
  name: 'Traefik',
  source: 'bench/peers.sh, or TRAEFIK',
  version: () => versionOf(program, ['version']),
  ways: { certificates: 'watched file', routes: 'watched file', 'client CAs': 'watched file' },
  start: async (stage) => {
    const folder = join(stage.folder, 'dynamic');
    mkdirSync(folder);
    const path = join(stage.folder, 'traefik.yaml');
    writeFileSync(
      path,
      JSON.stringify({
        entryPoints: {
          public: { address: `127.0.0.1:${stage.port}`, http3: {}, transport: { respondingTimeouts: { readTimeout: '0s' } } },
        },
        providers: { file: { directory: folder, watch: true }, providersThrottleDuration: '0.1s' },
        log: { level: 'WARN' },
        global: { checkNewVersion: false, sendAnonymousUsage: false },
      }),
    );
    const write = (): void => putFile(join(folder, 'dynamic.yaml'), JSON.stringify(dynamic(stage)));
    write();
    const child = launch('Traefik', stage.folder, [program ?? 'traefik', `--configFile=${path}`]);
    return whenServing(stage, child, 'Traefik', () => toldByLog(stage, 'Traefik', write, /ERR|WRN|error/, stage.serial < 0 ? 2_000 : 0));
  },
};

function dynamic(stage: Stage): object {
  const version = `${stage.serial}-${process.hrtime.bigint()}`;
  const [certFile, keyFile] = [join(stage.folder, `chain-${version}.pem`), join(stage.folder, `key-${version}.pem`)];
  copyFileSync(stage.chainPath, certFile);
  copyFileSync(stage.keyPath, keyFile);
  const clients =
    stage.kind === 'client CAs' ? { clientAuth: { caFiles: [copyCa(stage, version)], clientAuthType: 'VerifyClientCertIfGiven' } } : {};
  return {
    // Not as the default certificate of a store: version 3.7 ends in a panic at the next handshake
    // when that is a bad one.
    tls: { certificates: [{ certFile, keyFile }], options: { default: clients } },
    http: {
      routers: { all: { rule: 'PathPrefix(`/`)', entryPoints: ['public'], service: 'web', middlewares: ['mark'], tls: {} } },
      middlewares: { mark: { headers: { customResponseHeaders: { 'x-mark': String(stage.mark) } } } },
      services: { web: { loadBalancer: { servers: [{ url: `h2c://127.0.0.1:${stage.backend.h2Port}` }] } } },
    },
  };
}

function copyCa({ folder, caPath }: Stage, version: string): string {
  const path = join(folder, `ca-${version}.pem`);
  copyFileSync(caPath, path);
  return path;
}
