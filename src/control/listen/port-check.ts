/**
 * Asks whether a UDP address is free before it is opened to be shared. Sockets of a listener have
 * SO_REUSEPORT, and with it the kernel would let a second edge of the same user join the first
 * one's port and take half of its packets, without an error anywhere.
 */
import { createSocket } from 'node:dgram';
import { createServer, isIPv6 } from 'node:net';
import { isWildcard, parseAddress } from './address.ts';

/**
 * Rejects with the system's error when `address` (`ip:port`) is taken or not ours; port 0 is always
 * free.
 */
export async function checkUdpFree(address: string): Promise<void> {
  const parsed = parseAddress(address);
  if (parsed === undefined || parsed.port === 0) return;
  const { host, port } = parsed;
  // As sockets of listeners are: a wildcard of IPv6 takes IPv4 too.
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', ipv6Only: isIPv6(host) && !isWildcard(host) });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: host, port, exclusive: true }, resolve);
    });
  } finally {
    await new Promise<void>((resolve) => socket.close(resolve));
  }
}

/** The same of a TCP address, which nobody could share. */
export async function checkTcpFree(address: string): Promise<void> {
  const parsed = parseAddress(address);
  if (parsed === undefined || parsed.port === 0) return;
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...parsed, exclusive: true }, resolve);
  });
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/**
 * What to do about an error of listening, as an end of a sentence; empty when the error speaks for
 * itself.
 */
export function listenHint(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (/EADDRINUSE|os error 98\b/.test(message)) return '; another process listens there';
  if (/EACCES|os error 13\b/.test(message)) return '; ports below 1024 need the capability CAP_NET_BIND_SERVICE';
  if (/EADDRNOTAVAIL|os error 99\b/.test(message)) return '; no interface of this machine has that address';
  return '';
}
