/** Complaints about files of certificates, in words that name the file. */

import type { Complaint } from '../../config/problem.ts';

/** What is complained of, with `file` before it. */
export function describeAt(file: string, { value, message }: Complaint): string {
  const said = value === undefined ? message : `${value} ${message}`;
  return said.startsWith(file) ? said : `${file}: ${said}`;
}

/** All that keeps files from being used. */
export function faultsOf(complaints: readonly Complaint[], describe: (complaint: Complaint) => string): string {
  return complaints
    .filter(({ severity }) => severity !== 'warning')
    .map(describe)
    .join('; ');
}
