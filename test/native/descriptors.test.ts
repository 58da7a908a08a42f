/** A listener's descriptor has one owner: the main thread until it is handed to a reactor, the reactor from that call on, whether or not it comes of it. */
import { closeSync, fstatSync, openSync, readlinkSync } from 'node:fs';
import t from 'tap';
import type { CertificateSnapshot, Snapshot } from '../../src/config/snapshot.ts';
import { createEdge } from '../../src/control/edge.ts';
import type { BindingAddon, BindingReactorOptions } from '../../src/native/binding.ts';
import { createLog } from '../../src/observe/log.ts';
import { testSnapshot } from '../control/support/snapshot.ts';
import { addon, skip } from '../support/addon.ts';
import { certificates } from '../support/certificates.ts';

const faults: Readonly<Record<string, (options: BindingReactorOptions) => BindingReactorOptions>> = {
  'a rule that nobody knows': (options) => ({
    ...options,
    listeners: options.listeners.map((listener) => ({ ...listener, escapedSlashes: 'perhaps' })),
  }),
  'a key of the wrong length': (options) => ({ ...options, cidKey: new Uint8Array(31) }),
};

for (const [what, spoil] of Object.entries(faults)) {
  t.test(`${what} fails the start, closes every socket and closes nothing twice`, { skip }, async (t) => {
    const sockets: string[] = [];
    const fds: number[] = [];
    let other = -1;
    // What is opened by somebody else in between gets the number of the socket that was closed.
    const watching: BindingAddon = {
      ...(addon as BindingAddon),
      openUdp(...args) {
        const socket = (addon as BindingAddon).openUdp(...args);
        fds.push(socket.fd);
        sockets.push(readlinkSync(`/proc/self/fd/${socket.fd}`));
        return socket;
      },
      reactorCreate(options) {
        try {
          (addon as BindingAddon).reactorCreate(spoil(options));
        } finally {
          other = openSync('/dev/null', 'r');
        }
      },
    };
    const log = createLog({ level: 'silent', isText: false, stream: { write: () => {} } });
    const edge = createEdge({ addon: watching, snapshot: withCertificates(certificates().key), log }, { shownConfig: {} });
    await t.rejects(edge.start());
    t.equal(sockets.length, 2);
    t.ok(fds.includes(other), 'the number is in use again');
    t.ok(isOpen(other), 'what came after it is still open');
    for (const [place, fd] of fds.entries()) t.not(linkOf(fd), sockets[place], 'the socket is closed');
    closeSync(other);
  });
}

t.test('a certificate that cannot be used fails the start before a socket is opened, and is named', { skip }, async (t) => {
  const opened: string[] = [];
  const watching: BindingAddon = {
    ...(addon as BindingAddon),
    openUdp(address, ...sizes) {
      opened.push(address);
      return (addon as BindingAddon).openUdp(address, ...sizes);
    },
  };
  const log = createLog({ level: 'silent', isText: false, stream: { write: () => {} } });
  const edge = createEdge({ addon: watching, snapshot: withCertificates('no key'), log }, { shownConfig: {} });
  await t.rejects(edge.start(), /certificate localhost: the key is no PEM private key/);
  t.same(opened, []);
});

function withCertificates(keyPem: string): Snapshot {
  const snapshot = testSnapshot();
  const changed = (given: CertificateSnapshot): CertificateSnapshot => ({ ...given, keyPem });
  return {
    ...snapshot,
    listeners: snapshot.listeners.map((listener) => ({ ...listener, certificates: listener.certificates.map(changed) })),
  };
}

function isOpen(fd: number): boolean {
  try {
    return fstatSync(fd).isCharacterDevice();
  } catch {
    return false;
  }
}

function linkOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}
