/**
 * `lychgate upstreams`: the backends of a running edge with their state, load and latency, as a
 * table.
 */

import { Command } from 'commander';
import type { BackendView, UpstreamView } from '../control/view/upstreams.ts';
import { addAdminTarget, askAdmin, readAdminTarget } from './admin-client.ts';
import { formatTable } from './table.ts';

/** The command, ready to be added to the program. */
export function upstreamsCommand(): Command {
  return addAdminTarget(new Command('upstreams').description('Show the backends of a running edge: state, load, latency, last failure'))
    .argument('[name]', 'only this upstream')
    .option('--json', 'print everything the edge knows of them, as JSON', false)
    .action(async (name: string | undefined, options: { admin?: string; json: boolean }) => {
      const { upstreams } = await askAdmin<{ upstreams: UpstreamView[] }>(readAdminTarget(options, process.env), '/v1/upstreams');
      const shown = upstreams.filter((upstream) => name === undefined || upstream.name === name);
      process.stdout.write(options.json ? `${JSON.stringify(shown, undefined, 2)}\n` : formatUpstreams(shown));
    });
}

/** A heading and a table for each upstream. */
export function formatUpstreams(upstreams: readonly UpstreamView[]): string {
  const refusal = ({ trust }: UpstreamView): string =>
    trust?.refusal ? `certificates on disk refused at ${trust.refusal.at}: ${trust.refusal.message}\n` : '';
  return upstreams
    .map((upstream) => `${heading(upstream)}\n${formatTable(COLUMNS, upstream.backends.map(row))}${refusal(upstream)}`)
    .join('\n');
}

const COLUMNS = [
  { title: 'BACKEND' },
  { title: 'STATE' },
  { title: 'WEIGHT', isNumber: true },
  { title: 'IN FLIGHT', isNumber: true },
  { title: 'LATENCY', isNumber: true },
  { title: 'SESSIONS', isNumber: true },
  { title: 'FAILED', isNumber: true },
  { title: 'LAST FAILURE' },
];

function heading({ name, policy, inFlight, admitted, backends, isPanicking }: UpstreamView): string {
  const load = `${inFlight} in flight, ${admitted} of ${backends.length} backends in use`;
  return `${name}: ${policy}, ${load}${isPanicking ? ', PANIC: too few backends are fit, all are used' : ''}`;
}

function row(backend: BackendView): string[] {
  const { url, state, weight, inFlight, latencyMs, sessions, window, consecutiveFailures, lastFailure, lastFault } = backend;
  return [
    url,
    state,
    String(weight),
    String(inFlight),
    latencyMs === null ? '-' : `${latencyMs.toFixed(latencyMs < 10 ? 2 : 0)} ms`,
    String(sessions.length),
    window.outcomes === 0 ? String(consecutiveFailures) : `${window.failures}/${window.outcomes}`,
    lastFailure === null ? '-' : `${withDetail(lastFailure.reason, lastFault)}, ${ago(lastFailure.at)}`,
  ];
}

/** `tls_alert: unrecognized_name`, where a session's end says more of the failure than its code. */
function withDetail(reason: string, lastFault: string | null): string {
  return lastFault?.startsWith(`${reason}: `) === true ? lastFault : reason;
}

function ago(at: string): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(at)) / 1_000));
  if (seconds < 120) return `${seconds} s ago`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3_600)} h ago`;
}
