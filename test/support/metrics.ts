/** Reads the Prometheus text of an edge: series by name and labels. */

/** One scrape. */
export class Metrics {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** Sum of all series of a name whose labels have the given values; 0 when there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    let total = 0;
    for (const [seen, value] of this.series(name)) {
      if (Object.entries(labels).every(([label, wanted]) => seen[label] === wanted)) total += value;
    }
    return total;
  }

  /** Whether a family of that name is there at all. */
  has(name: string): boolean {
    return this.text.includes(`# TYPE ${name} `);
  }

  /** Every series of a name with its labels. */
  *series(name: string): Generator<[Record<string, string>, number]> {
    for (const line of this.text.split('\n')) {
      if (!line.startsWith(name)) continue;
      const found = /^([a-zA-Z0-9_:]+)(?:\{(.*)\})? (\S+)/.exec(line);
      if (found?.[1] !== name) continue;
      yield [readLabels(found[2] ?? ''), Number(found[3])];
    }
  }
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const found of text.matchAll(/([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"/g)) labels[found[1] ?? ''] = found[2] ?? '';
  return labels;
}
