/**
 * A mistake in the configuration, and how it is told: where it stands, which key, what was found,
 * what was expected. Mistakes are values and are collected, so that one run lists all of them.
 */

/** Steps from the root of a configuration to a key: names in mappings, places in lists. */
export type KeyPath = readonly (string | number)[];

/** An error refuses the configuration; a warning is told and the configuration is used. */
export type Severity = 'error' | 'warning';

/**
 * Where a mistake stands. `line` and `column` count from 1 and are absent outside the file
 * (environment, flags, unreadable files).
 */
export interface Place {
  /** File as given on the command line, or `environment` or `command line`. */
  readonly source: string;
  readonly line?: number;
  readonly column?: number;
  /** Steps to the key within the file, where it is one of several that make the configuration. */
  readonly path?: KeyPath;
  /**
   * Which of these files, in the order in which they were read; 0 or absent for the configuration
   * itself.
   */
  readonly file?: number;
}

/** One mistake. */
export interface Problem {
  readonly severity: Severity;
  readonly place: Place;
  /** Steps to the key, empty for the document as a whole. */
  readonly path: KeyPath;
  /** What is wrong, without the path, in one line. */
  readonly message: string;
  /** The value found, as short text; absent when there is none or it is secret. */
  readonly value?: string;
  /** What was expected instead. */
  readonly expected?: string;
}

/** What a check says before anyone knows where the key stands. */
export interface Complaint {
  readonly severity?: Severity;
  readonly path: KeyPath;
  /** Where it stands when that is not the file. */
  readonly source?: string;
  /** Point at the key rather than at its value. */
  readonly isAboutKey?: boolean;
  /** What it is in the way of: where that stands goes behind the message. */
  readonly rival?: KeyPath;
  readonly message: string;
  readonly value?: string;
  readonly expected?: string;
}

/** Finds where a key stands. */
export type Locate = (path: KeyPath, isAboutKey: boolean) => Place;

/** Gives complaints their places. */
export function placeComplaints(complaints: readonly Complaint[], locate: Locate): Problem[] {
  return complaints.map(({ isAboutKey = false, severity = 'error', source, rival, ...rest }) => {
    const place = source === undefined ? locate(rest.path, isAboutKey) : { source };
    const problem = { ...rest, severity, place, path: place.path ?? rest.path };
    if (rival === undefined) return problem;
    const other = locate(rival, false);
    const where = other.source === place.source ? formatPath(other.path ?? rival) : describePlace(other, rival);
    return { ...problem, message: `${rest.message} ${where}` };
  });
}

/** A key in another file: `routes[0] of routes.d/shop.yaml:2:3`. */
export function describePlace(place: Place, path: KeyPath): string {
  return `${formatPath(place.path ?? path)} of ${formatWhere(place)}`;
}

function formatWhere({ source, line, column }: Place): string {
  return line === undefined ? source : `${source}:${line}:${column ?? 1}`;
}

/** True when a configuration with these problems must not be used. */
export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === 'error');
}

/**
 * `listeners[0].quic.idle_timeout`; names that are no plain words are quoted:
 * `upstreams["my web"]`.
 */
export function formatPath(path: KeyPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (!/^[\w-]+$/.test(step)) text += `[${JSON.stringify(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/**
 * One line:
 * `edge.yaml:7:14: error: listeners[0].name: is missing; expected a name, such as public`.
 */
export function formatProblem(problem: Problem): string {
  const { place, path, value, expected } = problem;
  const where = formatWhere(place);
  const key = path.length === 0 ? '' : `${formatPath(path)}: `;
  const found = value === undefined ? '' : `${value} `;
  const wanted = expected === undefined ? '' : `; expected ${expected}`;
  return `${where}: ${problem.severity}: ${key}${found}${problem.message}${wanted}`;
}

/**
 * In the order a reader meets them: what stands in no file first, then file by file, by line and
 * column, errors and warnings alike.
 */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const fileOf = ({ place: { line, file = 0 } }: Problem): number => (line === undefined ? -1 : file);
  const rank = ({ place: { line = 0, column = 0 } }: Problem): number => line * 1e6 + column;
  return problems.toSorted((a, b) => fileOf(a) - fileOf(b) || rank(a) - rank(b));
}

/**
 * A value as short text for a message: JSON, cut at 60 characters; mappings and lists only by their
 * kind.
 */
export function showValue(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value !== null && typeof value === 'object') return 'a mapping';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
