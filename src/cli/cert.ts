/**
 * `lychgate cert`: the certificates of a running edge (`list`, `reload`), and those of a
 * configuration or of two files, checked without starting anything (`check`).
 */

import { resolve } from 'node:path';
import { Command } from 'commander';
import { createError } from '../base/errors.ts';
import { factsOfChain, readCertificate } from '../config/certificates/certificates.ts';
import { loadConfig } from '../config/load.ts';
import { hasErrors, type Problem, placeComplaints, sortProblems } from '../config/problem.ts';
import { Files } from '../config/read/files.ts';
import type { CertificateSnapshot } from '../config/snapshot/listener.ts';
import type { CertificatesAnswer } from '../control/certificates/answer.ts';
import type { CertificateView } from '../control/certificates/listener-certificates.ts';
import { complaintsOfAddon } from './addon-check.ts';
import { addAdminTarget, askAdmin, postAdmin, readAdminTarget } from './admin-client.ts';
import { count, EXIT_FAILED, reportProblems } from './report.ts';
import { addSettings, readSettings } from './settings.ts';
import { formatTable } from './table.ts';

interface ListOptions {
  readonly admin?: string;
  readonly json: boolean;
}

/** The command, ready to be added to the program. */
export function certCommand(): Command {
  return new Command('cert')
    .description('Certificates: those in use, and those of files')
    .addCommand(listCommand())
    .addCommand(checkCommand())
    .addCommand(reloadCommand());
}

function listCommand(): Command {
  return addAdminTarget(
    new Command('list').description('Show the certificates of a running edge: names, issuer, serial number, days left, where in use'),
  )
    .option('--json', 'print everything the edge knows of them, as JSON', false)
    .action(async (options: ListOptions) => {
      const { certificates } = await askAdmin<{ certificates: CertificateView[] }>(
        readAdminTarget(options, process.env),
        '/v1/certificates',
      );
      process.stdout.write(options.json ? toJson(certificates) : formatCertificates(certificates));
    });
}

function reloadCommand(): Command {
  return addAdminTarget(new Command('reload').description('Tell a running edge to read the files of its certificates again now'))
    .option('--json', "print the edge's answer as it is, in JSON", false)
    .action(async (options: ListOptions) => {
      const answer = await postAdmin<CertificatesAnswer>(readAdminTarget(options, process.env), '/v1/certificates/reload', {});
      if (options.json) process.stdout.write(toJson(answer));
      for (const { listener, certificate, message } of answer.refused) process.stderr.write(`${listener} ${certificate}: ${message}\n`);
      if (!options.json) {
        const { changed, unchanged, refused } = answer;
        process.stdout.write(`${count(changed, 'certificate')} changed, ${unchanged} unchanged, ${refused.length} refused\n`);
      }
      if (answer.result === 'refused') process.exitCode = EXIT_FAILED;
    });
}

interface CheckOptions {
  readonly chain?: string;
  readonly key?: string;
  readonly passphraseFile?: string;
  readonly json: boolean;
}

function checkCommand(): Command {
  const description = 'Check the certificates of a configuration, or a chain and its key, by the rules of a start and a rotation';
  return addSettings(new Command('check').description(description))
    .argument('[file]', 'configuration file, instead of --config')
    .option('--chain <file>', 'a chain of certificates, without a configuration; needs --key')
    .option('--key <file>', 'its key')
    .option('--passphrase-file <file>', 'the pass phrase of the key')
    .option('--json', 'print JSON', false)
    .action(async (given: string | undefined, options: CheckOptions, command: Command) => {
      const { rows, problems } = await checkAll(given, options, command);
      reportProblems(problems);
      process.stdout.write(options.json ? toJson(rows) : rows.length === 0 ? '' : formatCertificates(rows));
      if (hasErrors(problems)) process.exitCode = EXIT_FAILED;
    });
}

/** A certificate that was checked and is in use nowhere yet. */
type CheckedRow = Omit<CertificateView, 'since' | 'refusal'>;

async function checkAll(
  given: string | undefined,
  options: CheckOptions,
  command: Command,
): Promise<{ rows: CheckedRow[]; problems: Problem[] }> {
  if (options.chain !== undefined || options.key !== undefined) return checkFiles(options);
  const { file, outside } = readSettings(command, process.env, given);
  const { config, problems, baseDir, locate } = await loadConfig(file, outside);
  const found: Problem[] = [...problems];
  const rows: CheckedRow[] = [];
  const files = new Files(baseDir);
  for (const [place, { name, certificates }] of (config?.listeners ?? []).entries()) {
    for (const [index, configured] of certificates.entries()) {
      const path = ['listeners', place, 'certificates', index];
      const { certificate, complaints } = await readCertificate(configured, path, files, Date.now());
      found.push(...placeComplaints([...complaints, ...complaintsOfAddon(certificate, path)], locate));
      if (certificate !== undefined) rows.push(rowOf(name, certificate));
    }
  }
  return { rows, problems: sortProblems(found) };
}

async function checkFiles({ chain, key, passphraseFile }: CheckOptions): Promise<{ rows: CheckedRow[]; problems: Problem[] }> {
  if (chain === undefined || key === undefined) throw createError('usage_not_valid', '--chain and --key go together');
  const configured = { name: '', names: [], chain, key, key_passphrase_file: passphraseFile ?? '', ocsp: '' };
  const { certificate, complaints } = await readCertificate(configured, [], new Files(process.cwd()), Date.now());
  const all = [...complaints, ...complaintsOfAddon(certificate, [])];
  const problems = placeComplaints(all, ([which]) => ({
    source: which === 'key' ? key : which === 'key_passphrase_file' ? (passphraseFile ?? '') : chain,
  }));
  return { rows: certificate === undefined ? [] : [rowOf('-', certificate)], problems };
}

function rowOf(listener: string, { label, names, chainPem, source }: CertificateSnapshot): CheckedRow {
  const facts = factsOfChain(chainPem);
  return { listener, certificate: label, names, ...facts, daysLeft: daysUntil(facts.notAfter), chain: resolve(source.chain) };
}

function daysUntil(at: string): number {
  return Math.floor((Date.parse(at) - Date.now()) / 86_400_000);
}

const COLUMNS = [
  { title: 'LISTENER' },
  { title: 'CERTIFICATE' },
  { title: 'NAMES' },
  { title: 'ISSUER' },
  { title: 'SERIAL' },
  { title: 'KEY' },
  { title: 'DAYS LEFT', isNumber: true },
  { title: 'STATE' },
];

/** A table, and below it what is wrong with files that are not in use. */
export function formatCertificates(certificates: readonly (CheckedRow & Partial<CertificateView>)[]): string {
  const rows = certificates.map(({ listener, certificate, names, issuer, serial, key, daysLeft, notBefore, refusal }) => [
    listener,
    certificate,
    names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', '),
    shortName(issuer),
    serial,
    key,
    String(daysLeft),
    [
      daysLeft < 0 ? 'expired' : Date.parse(notBefore) > Date.now() ? 'not valid yet' : 'valid',
      ...(refusal ? ['new one refused'] : []),
    ].join(', '),
  ]);
  const refusals = certificates.flatMap(({ listener, certificate, refusal }) =>
    refusal ? [`${listener} ${certificate}: refused at ${refusal.at}: ${refusal.message}\n`] : [],
  );
  return [formatTable(COLUMNS, rows), ...refusals].join('');
}

/** The common name, or the whole where there is none. */
function shortName(name: string): string {
  return /(?:^|, )CN=([^,]+)/.exec(name)?.[1] ?? name;
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
