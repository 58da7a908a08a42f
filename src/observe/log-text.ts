/**
 * Log lines for a terminal: time, level, target, message and the facts behind it on one line. It
 * reads the JSON that pino has written, so that what a person sees is exactly what a machine would
 * have got, redaction included.
 */
import type { DestinationStream } from 'pino';

/** Wraps `lines` so that every JSON line written arrives there as text. */
export function createTextStream(lines: DestinationStream): DestinationStream {
  return { write: (json: string) => lines.write(toText(json)) };
}

function toText(json: string): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return json;
  }
  const { level, time, target, msg, err, ...facts } = record;
  const clock = typeof time === 'string' ? time.slice(11, 23) : '';
  const words = [clock, String(level).padEnd(5), String(target ?? '-').padEnd(9), String(msg ?? '')];
  for (const [key, value] of Object.entries(facts)) words.push(`${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  if (err !== undefined) words.push(`error=${JSON.stringify((err as { message?: unknown }).message ?? err)}`);
  return `${words.join(' ')}\n`;
}
