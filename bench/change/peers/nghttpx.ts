/**
 * nghttpx: everything by SIGHUP, upon which it reads its configuration again and begins another
 * worker process.
 */

import { join } from 'node:path';
import { launch, versionOf } from '../../chaos/peers/peer.ts';
import { findPeer } from './find.ts';
import { type Peer, putFile, type Stage, toldByLog, whenServing } from './peer.ts';

const program = findPeer('nghttpx', 'NGHTTPX');

export const nghttpx: Peer = {
  name: 'nghttpx',
  source: 'nghttp2 with ngtcp2, or NGHTTPX',
  version: () => versionOf(program, ['--version']),
  // With client certificates it asks everybody for one, and so our clients could not be.
  ways: { certificates: 'SIGHUP', routes: 'SIGHUP', listeners: 'SIGHUP', 'ticket keys': 'SIGHUP' },
  start: async (stage) => {
    const path = join(stage.folder, 'nghttpx.conf');
    putFile(path, configuration(stage));
    const child = launch('nghttpx', stage.folder, [program ?? 'nghttpx', `--conf=${path}`]);
    return whenServing(stage, child, 'nghttpx', () => {
      putFile(path, configuration(stage));
      return toldByLog(stage, 'nghttpx', () => child.kill('SIGHUP'), /ERROR|FATAL|WARN/, stage.serial < 0 ? 2_000 : 0);
    });
  },
};

function configuration({ chainPath, keyPath, ticketPath, kind, port, extraPort, backend, mark }: Stage): string {
  const frontend = (at: number): string => `frontend=127.0.0.1,${at};quic\n`;
  return `${frontend(port)}${extraPort === 0 ? '' : frontend(extraPort)}backend=127.0.0.1,${backend.h2Port};;proto=h2
private-key-file=${keyPath}
certificate-file=${chainPath}
workers=1
errorlog-file=/dev/stderr
frontend-quic-idle-timeout=300s
frontend-http3-idle-timeout=300s
add-response-header=x-mark: ${mark}
${kind === 'ticket keys' ? `tls-ticket-key-file=${ticketPath}\n` : ''}`;
}
