/**
 * Sockets of listeners have one owner at a time: the addon's registry, then the reactor that
 * listens by them; nobody else ever sees a descriptor.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import t from 'tap';
import type { CertificateSnapshot } from '../../src/config/snapshot/listener.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { createEdge } from '../../src/control/edge/edge.ts';
import type { BindingAddon } from '../../src/native/binding.ts';
import { createLog } from '../../src/observe/log.ts';
import { testSnapshot } from '../control/support/snapshot.ts';
import { addon, skip } from '../support/addon.ts';
import { certificates } from '../support/certificates.ts';

/** Faults of the start, each after the sockets were opened, or while they are. */
const faults: Readonly<Record<string, (native: BindingAddon) => Partial<BindingAddon>>> = {
  'a rule that nobody knows': (native) => ({
    checkListener: (listener) => native.checkListener({ ...listener, normalise: { ...listener.normalise, escaped_slashes: 'perhaps' } }),
  }),
  'a group that nobody knows': (native) => ({ checkListener: (listener) => native.checkListener({ ...listener, groups: ['P-000'] }) }),
  'a key of the wrong length': (native) => ({
    reactorCreate: (options) => native.reactorCreate({ ...options, cidKey: new Uint8Array(31) }),
  }),
};

for (const [what, spoil] of Object.entries(faults)) {
  t.test(`${what} fails the start and leaves no socket open`, { skip }, async (t) => {
    const before = sockets();
    let opened = 0;
    const native = addon as BindingAddon;
    const watching: BindingAddon = {
      ...native,
      openListener(...args) {
        const place = native.openListener(...args);
        opened = sockets().length - before.length;
        return place;
      },
      ...spoil(native),
    };
    const log = createLog({ level: 'silent', isText: false, stream: { write: () => {} } });
    const edge = createEdge({ addon: watching, snapshot: withCertificates(certificates().key), log }, { shownConfig: {} });
    await t.rejects(edge.start());
    t.equal(opened, what.startsWith('a key') ? 2 : 0);
    t.same(sockets(), before);
  });
}

t.test('a certificate that cannot be used fails the start before a socket is opened, and is named', { skip }, async (t) => {
  const opened: string[] = [];
  const watching: BindingAddon = {
    ...(addon as BindingAddon),
    openListener(place, address, ...rest) {
      opened.push(address);
      return (addon as BindingAddon).openListener(place, address, ...rest);
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

function sockets(): string[] {
  const links = readdirSync('/proc/self/fd').map(linkOf);
  return links.filter((link) => link.startsWith('socket:')).sort();
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}
