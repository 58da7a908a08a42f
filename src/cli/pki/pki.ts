/**
 * `lychgate pki`: a CA for development in a folder. `init` makes it, `issue` a certificate for a
 * server or a client, `revoke` a longer revocation list, and `list` shows what there is. Keys are
 * written to files and nowhere else.
 */

import type { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { createError } from '../../base/errors.ts';
import { formatTable } from '../table.ts';
import type { Reason } from './der.ts';
import type { Listed } from './folder.ts';

const DIR = 'folder of the CA';
const MAX_DAYS = 36_500;

/** The command, ready to be added to the program. */
export function pkiCommand(): Command {
  return new Command('pki')
    .description('A CA for development: certificates of servers and clients, and a revocation list')
    .addCommand(initCommand())
    .addCommand(issueCommand())
    .addCommand(revokeCommand())
    .addCommand(listCommand());
}

function initCommand(): Command {
  return new Command('init')
    .description('Make a CA: its certificate, its key and an empty revocation list')
    .argument('<dir>', DIR)
    .option('--name <name>', 'its common name', 'Lychgate development CA')
    .option('--days <days>', 'how long it is valid', readDays, 3650)
    .option('--force', 'replace a CA that is already there', false)
    .action(async (dir: string, { name, days, force }: { name: string; days: number; force: boolean }) => {
      const [{ createAuthority }, { readCommonName }] = await Promise.all([import('./folder.ts'), import('./names.ts')]);
      const { places, notAfter } = createAuthority(dir, readCommonName(name), days, force);
      print([
        `${places.certificate}  certificate of ${JSON.stringify(name)}, valid until ${dayOf(notAfter)}`,
        `${places.key}  its key: whoever has it issues in its name`,
        `${places.list}  its revocation list, number 1`,
        '',
        'Next, a certificate for a server or a client:',
        `  lychgate pki issue ${quoted(dir)} --name localhost --san 127.0.0.1 ::1`,
        `  lychgate pki issue ${quoted(dir)} --name alice --client`,
      ]);
    });
}

interface IssueOptions {
  readonly name: string;
  readonly san: readonly string[];
  readonly client: boolean;
  readonly days: number;
  readonly out?: string;
  readonly force: boolean;
}

function issueCommand(): Command {
  return new Command('issue')
    .description('Issue a certificate with a new key; never overwrites files without --force')
    .argument('<dir>', DIR)
    .requiredOption('--name <name>', 'the host, or the name of the client')
    .option('--san <names...>', 'more names; the kind follows from the name, or from DNS:, IP:, URI: or email: before it', [])
    .option('--client', 'for a client (clientAuth) instead of a server (serverAuth)', false)
    .option('--days <days>', 'how long it is valid', readDays, 90)
    .option('--out <path>', 'files are <path>.pem and <path>.key (default: the name, in the folder of the CA)')
    .option('--force', 'replace these files', false)
    .action(async (dir: string, { name, san, client, days, out, force }: IssueOptions) => {
      const [{ issue, placesOf }, { formatAltName, readAltNames, readCommonName }] = await Promise.all([
        import('./folder.ts'),
        import('./names.ts'),
      ]);
      // What a server is called is what it is asked for. A client may be called anything; what
      // looks like a URI or an address is also one.
      const own = !client || /[:@]/.test(name) ? [name] : [];
      const names = readAltNames([...own, ...san.flatMap((words) => words.split(','))]);
      const wishes = {
        commonName: readCommonName(name),
        names,
        usage: client ? 'client' : 'server',
        days,
        out: out ?? join(dir, fileNameOf(name)),
        isForced: force,
      } as const;
      const { chain, key, certificate } = issue(dir, wishes);
      const ca = placesOf(dir);
      print([
        `${chain}  ${wishes.usage} certificate, serial ${certificate.serialNumber}, valid until ${dayOf(certificate.validToDate)}`,
        ...(names.length > 0 ? [`  for ${names.map(formatAltName).join(', ')}`] : []),
        `${key}  its key`,
        '',
        ...(client ? clientSteps(chain, key, ca) : serverSteps(chain, key, ca.certificate)),
      ]);
    });
}

function serverSteps(chain: string, key: string, ca: string): string[] {
  return [
    'Next, in the configuration of the edge:',
    '  listeners:',
    '    - certificates:',
    `        - { chain: ${quoted(chain)}, key: ${quoted(key)} }`,
    `Clients that shall accept it trust ${ca}.`,
  ];
}

function clientSteps(chain: string, key: string, ca: { readonly certificate: string; readonly list: string }): string[] {
  return [
    `Next, give both files to the client (curl --cert ${quoted(chain)} --key ${quoted(key)} …), and ask for them in the configuration of the edge:`,
    '  listeners:',
    '    - tls:',
    '        client_certificates:',
    '          mode: required',
    `          ca: [${quoted(ca.certificate)}]`,
    `          crl: [${quoted(ca.list)}]`,
  ];
}

function revokeCommand(): Command {
  return new Command('revoke')
    .description('Put a certificate on the revocation list')
    .argument('<dir>', DIR)
    .argument('<certificate>', 'its file, serial number or SHA-256 fingerprint')
    .option('--reason <reason>', 'why: unspecified, keyCompromise, superseded and others of RFC 5280', 'unspecified')
    .action(async (dir: string, which: string, options: { reason: string }) => {
      const [{ revoke }, { REASONS }] = await Promise.all([import('./folder.ts'), import('./der.ts')]);
      const names = Object.keys(REASONS) as Reason[];
      const reason = names.find((name) => name.toLowerCase() === options.reason.toLowerCase());
      if (reason === undefined) {
        throw createError('usage_not_valid', `--reason ${JSON.stringify(options.reason)}: expected one of ${names.join(', ')}`);
      }
      const { certificate, at, reason: said, wasRevoked, list } = revoke(dir, which, reason);
      const what = `${certificate.serialNumber} (${subjectOf(certificate)})`;
      if (wasRevoked) {
        print([`${what} is revoked since ${at.toISOString()}, ${said}; ${list.path} stays as it is, number ${list.number}`]);
        return;
      }
      print([
        `${what} is revoked: ${reason}`,
        `${list.path}  its revocation list, number ${list.number}`,
        '',
        'An edge whose `crl` names the list takes it up by itself; where `certificates.watch` is off, `lychgate cert reload` tells it.',
      ]);
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('Show the certificates that the CA issued, and which are revoked')
    .argument('<dir>', DIR)
    .option('--json', 'print JSON, with fingerprints', false)
    .action(async (dir: string, { json }: { json: boolean }) => {
      const { listIssued } = await import('./folder.ts');
      const { authority, list, issued } = listIssued(dir);
      const rows = issued.map(describe);
      if (json) {
        const ca = { subject: subjectOf(authority), notAfter: authority.validToDate.toISOString(), crlNumber: list.number };
        process.stdout.write(`${JSON.stringify({ ca, certificates: rows }, undefined, 2)}\n`);
        return;
      }
      const cells = rows.map(({ subject, usage, names, serial, notAfter, state, reason }) => [
        subject,
        usage,
        names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', '),
        serial,
        notAfter.slice(0, 10),
        reason === undefined || reason === 'unspecified' ? state : `${state}: ${reason}`,
      ]);
      const head = `${subjectOf(authority)}, valid until ${dayOf(authority.validToDate)}; revocation list number ${list.number}\n`;
      process.stdout.write(head + (rows.length === 0 ? 'It issued nothing yet.\n' : formatTable(COLUMNS, cells)));
    });
}

const COLUMNS = ['NAME', 'FOR', 'NAMES', 'SERIAL', 'UNTIL', 'STATE'].map((title) => ({ title }));

function describe({ certificate, revoked }: Listed) {
  const nowMs = Date.now();
  const state = revoked !== undefined ? 'revoked' : certificate.validToDate.getTime() < nowMs ? 'expired' : 'valid';
  return {
    subject: subjectOf(certificate),
    usage: certificate.keyUsage?.includes('1.3.6.1.5.5.7.3.2') === true ? 'client' : 'server',
    names: (certificate.subjectAltName ?? '').split(', ').filter((name) => name !== ''),
    serial: certificate.serialNumber,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfter: certificate.validToDate.toISOString(),
    state,
    ...(revoked === undefined ? {} : { revokedAt: revoked.at.toISOString(), reason: revoked.reason }),
  };
}

/** The common name: the subject has nothing else. */
function subjectOf({ subject }: X509Certificate): string {
  return subject.replace(/^CN=/, '');
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** A name as a file can be called: `*.example.org` is `_wildcard.example.org`. */
function fileNameOf(name: string): string {
  return name
    .replace(/^\*/, '_wildcard')
    .replaceAll(/[^\w.@-]+/g, '_')
    .replace(/^\./, '_');
}

/** As a shell and YAML take it. */
function quoted(path: string): string {
  return /^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

function readDays(word: string): number {
  const days = Number(word);
  if (/^\d+$/.test(word) && days >= 1 && days <= MAX_DAYS) return days;
  throw new InvalidArgumentError(`Expected 1 to ${MAX_DAYS}.`);
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
