/**
 * Follows things that are made of files: reads those whose files changed, has what is good put to
 * use, and leaves the one in use where something is wrong. Each stands for itself: a bad one keeps
 * no other from being renewed.
 *
 * Files that belong together are rarely written in one moment. What does not fit is tried again for
 * a while before anything is said, and the same is not said again.
 */

import { Files } from '../../config/read/files.ts';
import { answerOf, type CertificateResult, type CertificatesAnswer, type RefusedFiles } from './answer.ts';
import type { Rounds } from './rounds.ts';
import { stampsOf } from './watch.ts';

/** What a follower keeps of each that it follows. */
export interface Followed {
  /** Why what is on disk is not in use; undefined where it is, as far as known. */
  refusal: { readonly message: string; readonly atMs: number } | undefined;
  /** How often it did not fit since it last did. */
  tries: number;
}

/** What is on disk, held against what is in use. */
export type Outcome<News> =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'good'; readonly news: News }
  | { readonly kind: 'bad'; readonly message: string };

export interface FollowerParts<One extends Followed, News> {
  readonly rounds: Rounds;
  /** Its files, absolute. */
  readonly filesOf: (one: One) => readonly string[];
  readonly read: (one: One, files: Files) => Promise<Outcome<News>>;
  /** Puts what is good of `found` to use. What cannot be used is bad from then on. */
  readonly take: (found: Map<One, Outcome<News>>) => void | Promise<void>;
  readonly count: (one: One, result: CertificateResult) => void;
  /** `one.refusal` is still that of before. */
  readonly tellChange: (one: One, trigger: string) => void;
  /** What was refused is on disk as it is in use again. */
  readonly tellReturn: (one: One) => void;
  readonly tellRefusal: (one: One, message: string, trigger: string) => void;
  readonly nameOf: (one: One) => Omit<RefusedFiles, 'message'>;
}

/** Pauses before what does not fit is tried again; afterwards it is told. */
const RETRY_MS = [50, 100, 200, 400, 800];

export class Follower<One extends Followed, News> {
  /** Everything that is followed. */
  held: readonly One[] = [];

  private readonly parts: FollowerParts<One, News>;
  /** What did not fit, and is looked at again. */
  private readonly pending = new Set<One>();
  private retry: NodeJS.Timeout | undefined;

  constructor(parts: FollowerParts<One, News>) {
    this.parts = parts;
  }

  /** Follows these and no others. */
  hold(held: readonly One[]): void {
    this.held = held;
    this.pending.clear();
  }

  stop(): void {
    clearTimeout(this.retry);
  }

  paths(): string[] {
    return this.held.flatMap((one) => this.parts.filesOf(one));
  }

  /**
   * A round for those whose files changed, and those that were refused: what was wrong may be time,
   * or rights.
   */
  async look(changed: ReadonlySet<string>): Promise<void> {
    const due = this.held.filter((one) => one.refusal !== undefined || this.parts.filesOf(one).some((path) => changed.has(path)));
    if (due.length > 0) await this.round(due, false, 'watch');
  }

  /**
   * Reads the files of `due` again. Who is impatient hears at once what is wrong; `trigger` says in
   * the log who asked.
   */
  async round(due: readonly One[], isImpatient: boolean, trigger: string): Promise<CertificatesAnswer> {
    const { parts, pending } = this;
    const refused: RefusedFiles[] = [];
    let [changed, unchanged] = [0, 0];
    if (parts.rounds.isStopped) return answerOf(changed, unchanged, refused);
    const files = new Files('/');
    const found = new Map<One, Outcome<News>>();
    for (const one of due) found.set(one, await this.read(one, files));
    await parts.take(found);
    for (const [one, outcome] of found) {
      const isNews = outcome.kind === 'bad' && outcome.message !== one.refusal?.message;
      if (isNews && !isImpatient && one.tries < RETRY_MS.length) {
        pending.add(one);
        continue;
      }
      pending.delete(one);
      one.tries = 0;
      if (outcome.kind === 'bad') {
        this.refuse(one, outcome.message, trigger);
        refused.push({ ...parts.nameOf(one), message: outcome.message });
        continue;
      }
      if (outcome.kind === 'good') {
        changed += 1;
        parts.count(one, 'changed');
        parts.tellChange(one, trigger);
      } else {
        unchanged += 1;
        if (one.refusal !== undefined) parts.tellReturn(one);
        if (isImpatient || one.refusal !== undefined) parts.count(one, 'unchanged');
      }
      one.refusal = undefined;
    }
    this.tryAgain();
    return answerOf(changed, unchanged, refused);
  }

  /** What is good was not being written meanwhile. */
  private async read(one: One, files: Files): Promise<Outcome<News>> {
    const paths = this.parts.filesOf(one);
    const before = await stampsOf(paths);
    const outcome = await this.parts.read(one, files);
    if (outcome.kind === 'bad' || (await stampsOf(paths)) === before) return outcome;
    return { kind: 'bad', message: `${paths[0]}: is being written` };
  }

  private tryAgain(): void {
    const { pending, parts } = this;
    clearTimeout(this.retry);
    if (pending.size === 0 || parts.rounds.isStopped) return;
    // Which they are is known when their turn comes: others may be held by then.
    const again = (): Promise<CertificatesAnswer> => {
      const due = [...pending];
      for (const one of due) one.tries += 1;
      return this.round(due, false, 'watch');
    };
    this.retry = setTimeout(() => parts.rounds.begin(again), Math.min(...[...pending].map(({ tries }) => RETRY_MS[tries] ?? 0))).unref();
  }

  private refuse(one: One, message: string, trigger: string): void {
    const isKnown = one.refusal?.message === message;
    if (isKnown && trigger === 'watch') return;
    this.parts.count(one, 'refused');
    one.refusal = { message, atMs: Date.now() };
    if (!isKnown) this.parts.tellRefusal(one, message, trigger);
  }
}
