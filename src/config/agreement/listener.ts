/** Agreement within and between listeners. */

import type { Complaint, KeyPath } from '../problem.ts';
import type { Config } from '../schema/config.ts';
import type { Listener } from '../schema/listener.ts';
import { splitAddress } from '../schema/rules.ts';
import { MAX_CLIENT_FIELDS } from '../snapshot/listener.ts';
import { formatSize } from '../units.ts';
import { checkClientAuth } from './client-certificates.ts';
import { checkOrder, type IsMended, meaningless, Seen } from './seen.ts';

export function checkListeners({ listeners, claims }: Config, isMended: IsMended): Complaint[] {
  const complaints = checkClientFields(listeners, claims.client_field, isMended);
  const names = new Seen('listener', isMended);
  const addresses = new Seen('listener', isMended);
  for (const [place, listener] of listeners.entries()) {
    const { name, address, quic, normalise, per_client: perClient } = listener;
    const path = ['listeners', place] as const;
    complaints.push(...names.note(name, [...path, 'name'], `listeners[${place}]`));
    const isFreePort = splitAddress(address)?.port === 0;
    if (!isFreePort) complaints.push(...addresses.note(address, [...path, 'address'], `listeners[${place}]`));
    complaints.push(
      ...checkOrder([...path, 'quic'], ['stream_window', quic.stream_window], ['connection_window', quic.connection_window], formatSize),
    );
    complaints.push(
      ...checkOrder(
        [...path, 'per_client'],
        ['max_connections', perClient.max_connections],
        ["the listener's max_connections", listener.max_connections],
        String,
      ),
    );
    if (perClient.max_connections === 0) {
      const isOwn = { by: perClient.by !== 'client', exempt: perClient.exempt.length > 0 };
      for (const key of ['by', 'exempt'] as const) {
        if (isOwn[key]) complaints.push(meaningless([...path, 'per_client', key], 'without a limit', 'per_client.max_connections'));
      }
    }
    if (!normalise.enabled && normalise.escaped_slashes === 'reject') {
      complaints.push(meaningless([...path, 'normalise', 'escaped_slashes'], 'without normalisation', 'normalise.enabled: true'));
    }
    complaints.push(...checkClientAuth(listener, path, isMended));
    const certificateNames = new Seen('certificate', isMended);
    for (const [index, { names: answered, chain }] of listener.certificates.entries()) {
      for (const [nameIndex, answeredName] of answered.entries()) {
        const where = [...path, 'certificates', index, 'names', nameIndex];
        // A name may have several chains, but not one of them twice.
        complaints.push(...certificateNames.note(`${answeredName}\n${chain}`, where, `certificates[${index}]`, answeredName));
      }
    }
  }
  return complaints;
}

/** A block has one field, and there are no more different ones than a lane tells apart. */
function checkClientFields(listeners: readonly Listener[], fallback: string, isMended: IsMended): Complaint[] {
  const complaints: Complaint[] = [];
  const fields = new Set<string>();
  for (const [place, { trusted_networks: trusted }] of listeners.entries()) {
    const first = new Map<string, { field: string; index: number }>();
    for (const [index, { network, field: own }] of trusted.entries()) {
      const path: KeyPath = ['listeners', place, 'trusted_networks', index];
      if (isMended(path)) continue;
      const field = own === '' ? fallback : own;
      const before = first.get(network) ?? { field, index };
      first.set(network, before);
      if (before.field !== field) {
        const message = `has ${field}, and trusted_networks[${before.index}] has ${before.field}`;
        complaints.push({ path: [...path, 'network'], value: JSON.stringify(network), message, expected: 'one field for a block' });
      }
      if (!fields.has(field) && fields.size === MAX_CLIENT_FIELDS) {
        const message = `is a further field beside ${[...fields].join(', ')}`;
        complaints.push({
          path: [...path, 'field'],
          value: JSON.stringify(field),
          message,
          expected: `${MAX_CLIENT_FIELDS} different ones at most`,
        });
      } else fields.add(field);
    }
  }
  return complaints;
}
