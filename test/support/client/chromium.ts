/**
 * The third client of journey tests: a headless Chromium, because browsers are what an edge is for.
 */

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { certificates } from '../certificates.ts';
import { findProgram, plainEnvironment } from '../process.ts';

const program = findProgram('chromium') ?? findProgram('chromium-browser') ?? findProgram('google-chrome');

/** Why Chromium cannot be used here; false when it can. For a test's `skip`. */
export const missingChromium: string | false = program === undefined ? 'chromium is not installed' : false;

/**
 * Loads a page of `https://localhost:port`, or of another `host` that is to be the edge's, over
 * HTTP/3 and gives the document as it stands after its scripts have run. A profile of its own each
 * time; the leaf is trusted by its key, since Chromium does not take a private CA for QUIC.
 */
export async function dumpPage(port: number, path: string, waitMs = 5_000, host = 'localhost'): Promise<string> {
  const profile = mkdtempSync(join(tmpdir(), 'lychgate-chromium-'));
  try {
    const { stdout } = await promisify(execFile)(
      program ?? 'chromium',
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        `--user-data-dir=${profile}`,
        `--origin-to-force-quic-on=${host}:${port}`,
        `--ignore-certificate-errors-spki-list=${certificates().spki}`,
        `--host-resolver-rules=MAP ${host} 127.0.0.1`,
        `--timeout=${waitMs}`,
        '--virtual-time-budget=3000',
        '--dump-dom',
        `https://${host}:${port}${path}`,
      ],
      { env: plainEnvironment(), timeout: 45_000, maxBuffer: 1 << 24 },
    );
    return stdout;
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  }
}
