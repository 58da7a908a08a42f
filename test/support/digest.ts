/** Long bodies, told apart without being kept. */

import { createHash } from 'node:crypto';

/** How many bytes came, and their SHA-256 in hex. */
export async function digest(stream: AsyncIterable<Buffer>): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  return { bytes, sha256: hash.digest('hex') };
}
