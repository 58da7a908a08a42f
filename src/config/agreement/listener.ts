/** Agreement within and between listeners. */

import type { Complaint } from '../problem.ts';
import type { Listener } from '../schema/listener.ts';
import { splitAddress } from '../schema/rules.ts';
import { formatSize } from '../units.ts';
import { checkOrder, type IsMended, meaningless, Seen } from './seen.ts';

export function checkListeners(listeners: readonly Listener[], isMended: IsMended): Complaint[] {
  const complaints: Complaint[] = [];
  const names = new Seen('listener', isMended);
  const addresses = new Seen('listener', isMended);
  for (const [place, listener] of listeners.entries()) {
    const { name, address, quic, normalise } = listener;
    const path = ['listeners', place] as const;
    complaints.push(...names.note(name, [...path, 'name'], `listeners[${place}]`));
    const isFreePort = splitAddress(address)?.port === 0;
    if (!isFreePort) complaints.push(...addresses.note(address, [...path, 'address'], `listeners[${place}]`));
    complaints.push(
      ...checkOrder([...path, 'quic'], ['stream_window', quic.stream_window], ['connection_window', quic.connection_window], formatSize),
    );
    if (!normalise.enabled && normalise.escaped_slashes === 'reject') {
      complaints.push(meaningless([...path, 'normalise', 'escaped_slashes'], 'without normalisation', 'normalise.enabled: true'));
    }
    const certificateNames = new Seen('certificate', isMended);
    for (const [index, { names: answered }] of listener.certificates.entries()) {
      for (const [nameIndex, answeredName] of answered.entries()) {
        const where = [...path, 'certificates', index, 'names', nameIndex];
        complaints.push(...certificateNames.note(answeredName, where, `certificates[${index}]`));
      }
    }
  }
  return complaints;
}
