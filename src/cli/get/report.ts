/**
 * What `lychgate get` prints beside the body: heads as HTTP/1.1 would write them, times in
 * milliseconds.
 */

/** Status and fields of a response, an interim response or a trailer section. */
export interface ReportedHead {
  /** 0 for a trailer section. */
  readonly status: number;
  readonly fields: readonly (readonly [string, string])[];
}

/** Times of one exchange, milliseconds since the request was handed to the client. */
export interface Timing {
  /** Until the head of the final response. */
  readonly firstByteMs: number;
  /** Until the end of the response. */
  readonly totalMs: number;
  readonly bodyBytes: number;
}

/** A head, with the empty line that ends it; trailers have no status line. */
export function formatHead(head: ReportedHead): string {
  const lines = head.fields.map(([name, value]) => `${name}: ${value}\n`).join('');
  return head.status === 0 ? `\n${lines}` : `HTTP/3 ${head.status}\n${lines}\n`;
}

/** One line about the connection and its first exchange. */
export function formatTiming(handshakeMs: number, timing: Timing): string {
  return `handshake ${ms(handshakeMs)}, first byte ${ms(timing.firstByteMs)}, total ${ms(timing.totalMs)}, body ${timing.bodyBytes} bytes\n`;
}

/** One line about many exchanges of one connection. */
export function formatTimings(timings: readonly Timing[]): string {
  const totals = timings.map((timing) => timing.totalMs).sort((a, b) => a - b);
  const median = totals[Math.floor((totals.length - 1) / 2)] ?? 0;
  return `${totals.length} exchanges: min ${ms(totals[0] ?? 0)}, median ${ms(median)}, max ${ms(totals.at(-1) ?? 0)}\n`;
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}
