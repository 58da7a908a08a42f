/**
 * A UDP relay on loopback between clients and the edge: holds datagrams back, reorders or drops
 * them, by a rule the test gives.
 */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Test } from 'tap';

/** What happens to one datagram: milliseconds to hold it, or null to drop it. */
export type Weather = (direction: 'up' | 'down', place: number, bytes: Buffer) => number | null;

/** A running relay. */
export interface Relay {
  /** Port for clients. */
  readonly port: number;
  /** Replaced at will while datagrams flow. */
  weather: Weather;
  /**
   * The edge sees every client at a new port from the next datagram on, as after a NAT rebinding;
   * what is on its way to the old ones is lost.
   */
  rebind(): void;
}

/** Fair weather: everything passes at once. */
const calm: Weather = () => 0;

/**
 * Holds every nth datagram of both directions back by so many milliseconds, so that later ones
 * overtake it.
 */
export const overtaking =
  (nth: number, heldMs: number): Weather =>
  (_direction, place) =>
    place % nth === nth - 1 ? heldMs : 0;

/**
 * Starts a relay before a UDP port of loopback; it ends with the test. The edge sees its clients at
 * the address `from`.
 */
export async function startRelay(t: Test, edgePort: number, weather: Weather = calm, from = '127.0.0.1'): Promise<Relay> {
  const front = createSocket('udp4');
  const backs = new Map<number, Socket>();
  let [up, down] = [0, 0];
  let isClosed = false;
  let binding = 0;

  const relay: Relay & { port: number } = {
    port: 0,
    weather,
    rebind: () => {
      for (const back of backs.values()) back.close();
      backs.clear();
      binding += 1;
    },
  };

  const pass = (verdict: number | null, send: () => void): void => {
    if (verdict === null) return;
    if (verdict === 0) send();
    else setTimeout(() => isClosed || send(), verdict);
  };

  front.on('message', (bytes, client) => {
    pass(relay.weather('up', up++, bytes), () => backTo(client.port).send(bytes, edgePort, '127.0.0.1'));
  });

  const backTo = (clientPort: number): Socket => {
    const known = backs.get(clientPort);
    if (known !== undefined) return known;
    const back = createSocket('udp4');
    back.bind(0, from);
    const bound = binding;
    back.on('message', (bytes) => {
      pass(relay.weather('down', down++, bytes), () => bound === binding && front.send(bytes, clientPort, '127.0.0.1'));
    });
    backs.set(clientPort, back);
    return back;
  };

  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  relay.port = front.address().port;
  t.teardown(() => {
    isClosed = true;
    relay.rebind();
    front.close();
  });
  return relay;
}
