/** How commands talk about mistakes and failures: plain lines on stderr, never a stack. */

import { LychgateError } from '../base/errors.ts';
import { formatProblem, type Problem } from '../config/problem.ts';

/** Exit status of a command whose configuration has mistakes, or that failed. */
export const EXIT_FAILED = 1;

/** Exit status of a command line that is not understood. */
export const EXIT_USAGE = 2;

/** Writes every problem to stderr, one a line, then how many there are. */
export function reportProblems(problems: readonly Problem[]): void {
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const warnings = problems.length - errors;
  if (problems.length > 0) process.stderr.write(`${count(errors, 'error')}, ${count(warnings, 'warning')}\n`);
}

/** One line for a failure, with the failures that caused it. */
export function describeFailure(error: unknown): string {
  const messages: string[] = [];
  for (let at = error; at !== undefined && messages.length < 4; at = at instanceof Error ? at.cause : undefined) {
    messages.push(at instanceof Error ? at.message : String(at));
  }
  const code = error instanceof LychgateError ? ` (${error.code})` : '';
  return `lychgate: ${messages.join(': ')}${code}`;
}

/** `1 error`, `2 errors`. */
export function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
