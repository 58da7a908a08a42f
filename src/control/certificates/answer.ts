/** What came of reading files again, as whoever asked is told it. */

export const CERTIFICATE_RESULTS = ['changed', 'unchanged', 'refused'] as const;
export type CertificateResult = (typeof CERTIFICATE_RESULTS)[number];

/** A thing whose files were refused, and why. */
export interface RefusedFiles {
  readonly listener: string;
  readonly certificate: string;
  readonly message: string;
}

/** What came of reading all files again. */
export interface CertificatesAnswer {
  /** `refused` where any was, `changed` where any was and none was refused. */
  readonly result: CertificateResult;
  readonly changed: number;
  readonly unchanged: number;
  readonly refused: readonly RefusedFiles[];
}

export function answerOf(changed: number, unchanged: number, refused: readonly RefusedFiles[]): CertificatesAnswer {
  return { result: refused.length > 0 ? 'refused' : changed > 0 ? 'changed' : 'unchanged', changed, unchanged, refused };
}

/** Two answers as one. */
export function joined(a: CertificatesAnswer, b: CertificatesAnswer): CertificatesAnswer {
  return answerOf(a.changed + b.changed, a.unchanged + b.unchanged, [...a.refused, ...b.refused]);
}

/** How often things ended so, by their name; what was tried again is counted once. */
export class ResultCounts {
  private readonly counts = new Map<string, Record<CertificateResult, number>>();

  add(name: string, result: CertificateResult): void {
    const of = this.counts.get(name) ?? { changed: 0, unchanged: 0, refused: 0 };
    of[result] += 1;
    this.counts.set(name, of);
  }

  of(name: string): { readonly result: CertificateResult; readonly count: number }[] {
    return CERTIFICATE_RESULTS.map((result) => ({ result, count: this.counts.get(name)?.[result] ?? 0 }));
  }

  /** Forgets all others. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.counts.keys()) if (!names.has(name)) this.counts.delete(name);
  }
}
