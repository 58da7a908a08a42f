/**
 * `lychgate get URL`: one request over HTTP/3, for looking at an edge from outside. The body goes
 * to stdout as it comes; head and timing go to stderr, so that the body can be piped. Options and
 * exit codes are curl's where curl has them.
 */

import { readFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import type { Target } from './client.ts';
import { type Failure, toFailure, UsageError } from './failure.ts';
import { formatHead, formatTiming, formatTimings, type Timing } from './report.ts';

/** What the command line gives; see the option texts below. */
interface GetOptions {
  request?: string;
  header: [string, string][];
  data?: string;
  include: boolean;
  silent: boolean;
  fail: boolean;
  insecure: boolean;
  ca?: string;
  connectTo?: string;
  repeat: number;
  timeout: number;
}

/** Exit status of `--fail` for a status of 400 and above. */
const EXIT_STATUS_FAILED = 22;

/**
 * The command, ready to be added to the program. Cheap to make: the client is loaded when it runs.
 */
export function getCommand(): Command {
  return new Command('get')
    .description('Send a request over HTTP/3: head and timing to stderr, body to stdout')
    .argument('<url>', 'https://host[:port]/path')
    .option('-X, --request <method>', 'method; default GET, or POST with --data')
    .option('-H, --header <name: value>', 'request field, may be repeated', collectHeader, [])
    .option('-d, --data <text>', 'request body; @file reads a file, @- reads stdin')
    .option('-i, --include', 'write the response head to stdout before the body', false)
    .option('-s, --silent', 'print neither head nor timing on stderr', false)
    .option('-f, --fail', 'exit 22 when the status is 400 or more', false)
    .option('-k, --insecure', 'accept any certificate', false)
    .option('--ca <file>', 'PEM certificates to trust')
    .option('--connect-to <host:port>', 'send the packets there instead, as if the name had resolved to it')
    .option('--repeat <n>', 'send it n times on one connection; only the first body is printed', parseCount, 1)
    .option('--timeout <seconds>', 'limit for the handshake, and for each response', parseSeconds, 30)
    .addHelpText(
      'after',
      `
Examples:
  lychgate get --ca certs/ca.pem https://localhost:8443/
  lychgate get --insecure --repeat 100 https://localhost:8443/ > /dev/null
  lychgate get -k -X PUT -H 'content-type: text/plain' -d @note.txt https://localhost:8443/notes/1

Exit status: 0 answered, 2 usage, 6 name not found, 7 no connection, 22 status refused by --fail, 28 timed out, 60 certificate not
trusted, 56 the exchange failed.`,
    )
    .action(async (url: string, options: GetOptions) => {
      process.exitCode = await get(url, options);
    });
}

/** Runs the command; gives the exit status and never throws. */
async function get(url: string, options: GetOptions): Promise<number> {
  try {
    const target = await prepare(url, options);
    const status = await exchangeAll(target, options);
    return options.fail && status >= 400 ? EXIT_STATUS_FAILED : 0;
  } catch (error) {
    const failure: Failure = toFailure(error, url);
    process.stderr.write(`lychgate get: ${failure.text}\n`);
    return failure.exit;
  }
}

/** Sends the request as often as asked; the status of the last response. */
async function exchangeAll(target: Target, options: GetOptions): Promise<number> {
  const { openConnection } = await import('./client.ts');
  const note = (text: string): void => {
    if (!options.silent) process.stderr.write(text);
  };
  const connection = await openConnection(target);
  try {
    const timings: Timing[] = [];
    let status = 0;
    for (let turn = 0; turn < options.repeat; turn += 1) {
      const isShown = turn === 0;
      const result = await connection.exchange({
        onHead: (head) => {
          if (!isShown) return;
          if (options.include) process.stdout.write(formatHead(head));
          else note(formatHead(head));
        },
        body: isShown ? process.stdout : null,
      });
      status = result.status;
      timings.push(result.timing);
      if (isShown) note(formatTiming(connection.handshakeMs, result.timing));
    }
    if (timings.length > 1) note(formatTimings(timings));
    return status;
  } finally {
    await connection.close();
  }
}

/** Reads files and checks what the option parser could not. */
async function prepare(url: string, options: GetOptions): Promise<Target> {
  const parsed = URL.parse(url.includes('://') ? url : `https://${url}`);
  if (parsed === null || parsed.hostname === '') throw new UsageError(`'${url}' is not a URL`);
  if (parsed.protocol !== 'https:') throw new UsageError(`HTTP/3 is spoken over https:// only, not ${parsed.protocol}//`);
  const body = options.data === undefined ? null : await readBody(options.data);
  return {
    url: parsed,
    method: (options.request ?? (body === null ? 'GET' : 'POST')).toUpperCase(),
    fields: options.header,
    body,
    ca: options.ca === undefined ? null : await readInput(options.ca),
    isVerified: !options.insecure,
    connectTo: options.connectTo ?? null,
    timeoutMs: options.timeout * 1000,
  };
}

async function readBody(data: string): Promise<Buffer> {
  if (data === '@-') {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
  return data.startsWith('@') ? readInput(data.slice(1)) : Buffer.from(data);
}

async function readInput(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

function collectHeader(text: string, before: [string, string][]): [string, string][] {
  const colon = text.indexOf(':', 1);
  if (colon === -1) throw new InvalidArgumentError("a header is 'name: value'");
  return [...before, [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()]];
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError('a number of 1 or more is wanted');
  return count;
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) throw new InvalidArgumentError('seconds, more than 0');
  return seconds;
}
