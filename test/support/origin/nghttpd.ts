/**
 * nghttpd of Debian's nghttp2-server before a folder: a second HTTP/2 implementation to stand
 * behind the edge.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Test } from 'tap';
import { findProgram } from '../process.ts';
import { until } from '../wait.ts';

/** Why nghttpd cannot be used here; false when it can. For a test's `skip`. */
export const missingNghttpd: string | false =
  findProgram('nghttpd') === undefined ? 'nghttpd is not installed (Debian: nghttp2-server)' : false;

/** Serves a folder over h2c on a port of loopback that was free a moment ago. */
export async function startNghttpd(t: Test, folder: string, port: number, ...options: string[]): Promise<{ url: string; port: number }> {
  const program = spawn('nghttpd', ['--no-tls', '-a127.0.0.1', `-d${folder}`, ...options, String(port)], { stdio: 'ignore' });
  t.teardown(async () => {
    if (program.exitCode !== null) return;
    program.kill();
    await once(program, 'exit');
  });
  await until('nghttpd listens', () => canConnect(port));
  return { url: `h2c://127.0.0.1:${port}`, port };
}

async function canConnect(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
