/** A running edge is told to read its configuration again. */

import type { Edge } from './edge.ts';

/** What the admin API answers, with its status. */
export interface ReloadAnswer {
  readonly status: number;
  readonly result: string;
  readonly generation: string;
  readonly detail?: string;
  readonly changes: { path: string; before?: unknown; after?: unknown }[];
  readonly restart: { path: string }[];
  readonly problems: string[];
}

export async function reload(
  { admin }: Pick<Edge, 'admin'>,
  isDryRun = false,
  headers: Record<string, string> = {},
): Promise<ReloadAnswer> {
  const response = await fetch(`${admin}/v1/reload`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ dry_run: isDryRun }),
  });
  return { status: response.status, ...((await response.json()) as Omit<ReloadAnswer, 'status'>) };
}
