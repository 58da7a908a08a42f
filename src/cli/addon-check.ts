/**
 * What the addon says of a certificate: whatever it refuses, a start refuses, and so does a check.
 * Where it is not built the checks of TypeScript stand alone.
 */

import type { Complaint, KeyPath } from '../config/problem.ts';
import type { CertificateSnapshot } from '../config/snapshot/listener.ts';
import type { BindingAddon } from '../native/binding.ts';
import { toBindingCertificate } from '../native/convert.ts';
import { loadAddon } from '../native/load.ts';

let addon: BindingAddon | undefined | null;

/** Complaints about a certificate that was found good otherwise. */
export function complaintsOfAddon(certificate: CertificateSnapshot | undefined, path: KeyPath): Complaint[] {
  if (certificate === undefined) return [];
  const loaded = load();
  const messages = loaded === undefined ? [] : loaded.checkCertificate(toBindingCertificate(certificate));
  return messages.map((message) => ({ path: [...path, 'chain'], message }));
}

function load(): BindingAddon | undefined {
  if (addon === undefined) {
    try {
      addon = loadAddon();
    } catch {
      addon = null;
    }
  }
  return addon ?? undefined;
}
