/**
 * Asks a backend over HTTP/3, by the addon's QUIC and with the TLS that traffic has, a connection
 * and a thread a check.
 */

import type { BindingAddon } from '../../native/binding.ts';
import { type Ask, type Question, USER_AGENT } from './question.ts';

/** Tells one check from another. */
let number = 0;

/** An `Ask` for `h3`. */
export function createH3Ask(question: Question, addon: Pick<BindingAddon, 'askH3' | 'cancelH3'>): Ask {
  const { method, path, authority, serverName, isVerified, caPem, clientCertificate, pins, timeoutMs, bodyBytes } = question;
  const asked = {
    method,
    path,
    authority,
    serverName,
    isVerified,
    caPem,
    clientChainPem: clientCertificate?.chainPem ?? '',
    clientKeyPem: clientCertificate?.keyPem ?? '',
    pins: [...pins],
    userAgent: USER_AGENT,
    timeoutMs,
    bodyBytes,
  };
  return async (ip, port, signal) => {
    signal.throwIfAborted();
    number = (number + 1) >>> 0;
    const own = number;
    const abort = (): void => addon.cancelH3(own);
    signal.addEventListener('abort', abort);
    try {
      const { status, body } = await addon.askH3(own, { ...asked, address: `${ip.includes(':') ? `[${ip}]` : ip}:${port}` });
      return { status, body: Buffer.from(body).toString('utf8') };
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  };
}
