/** How a long download is paced, for those who send it and those who count. */

export const TICK_MS = 20;
export const CHUNK_BYTES = 8_192;

/** Bytes of a download of so many seconds. */
export function downloadBytes(seconds: number): number {
  return ((seconds * 1_000) / TICK_MS) * CHUNK_BYTES;
}
