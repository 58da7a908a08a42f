/**
 * The endpoint: it opens the listening sockets, one of each listener for each shard, and owns the
 * key of the connection-ID space. Sockets of one listener share an address by SO_REUSEPORT; the
 * kernel chooses among them by connection ID where it lets us, by address otherwise, and then
 * shards hand misdirected packets over.
 *
 * The sockets of an address are a place. Listeners come and go while the edge runs: one that is
 * there under an address already keeps its place, whatever else of it is another, and so does one
 * that takes over the address of another. A place that nobody has any more retires: it lets nobody
 * in, and is closed after its last connection.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createError, LychgateError } from '../../base/errors.ts';
import type { ListenerSnapshot } from '../../config/snapshot/listener.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { type ListenerPlace, toBindingListener } from '../../native/convert.ts';
import type { Logger } from '../../observe/log.ts';
import { isWildcard, parseAddress } from './address.ts';
import { checkUdpFree, listenHint } from './port-check.ts';

/** Bytes of the key that seals connection IDs and stateless-reset tokens. */
const CID_KEY_BYTES = 32;
/** How often it is looked whether the last connection of a place has ended, while some retire. */
const SWEEP_MS = 100;
/** How long an address that is being closed is waited for when it is wanted again. */
const CLOSING_PATIENCE_MS = 2_000;

/** A listener as the status shows it. */
export interface ListenerView {
  readonly name: string;
  /** `ip:port` with the port that was really taken. */
  readonly address: string;
  /**
   * Whether the kernel steers by connection ID. Always true with one shard: there is nothing to
   * steer.
   */
  readonly isSteered: boolean;
  /**
   * `draining` where it was removed or has left that address, until its last connection has ended.
   */
  readonly state: 'serving' | 'draining';
}

export interface EndpointParts {
  readonly addon: Pick<
    BindingAddon,
    | 'openListener'
    | 'closeListener'
    | 'checkListener'
    | 'listenerSockets'
    | 'placeConnections'
    | 'listenerConnections'
    | 'removeCertificates'
  >;
  readonly log: Logger;
  /** Has the shards listen in these places and nowhere else. */
  readonly onPlaces?: (places: readonly ListenerPlace[]) => void;
  /** Rejects when an address is taken; the system is asked unless a test says otherwise. */
  readonly checkFree?: (address: string) => Promise<void>;
}

/**
 * What is open for listeners that are to come into force. Exactly one of the two is to be called.
 */
export interface Opening {
  /** They are in force: what the shards are to be told. */
  take(): readonly ListenerPlace[];
  /** They are not: what was opened for them is closed. */
  drop(): void;
}

export interface Endpoint {
  readonly cidKey: Uint8Array;
  /** Tells connection IDs of this process from those of the one before it during an upgrade. */
  readonly processGeneration: number;
  /**
   * Opens what listeners, with their numbers, need beside what is open: every socket or none.
   * Throws `listen_failed`, with every listener that cannot listen.
   */
  open(listeners: readonly [number, ListenerSnapshot][]): Promise<Opening>;
  /**
   * Whether they could be opened now, as far as can be seen without doing it; throws as `open`
   * does.
   */
  check(listeners: readonly [number, ListenerSnapshot][]): Promise<void>;
  /** Whether there are, or may be, connections that know a listener by this number. */
  isKnown(listener: number): boolean;
  view(): ListenerView[];
  /** Closes what no reactor has taken, and forgets everything. */
  stop(): void;
}

/** An address at which sockets are open. */
interface Place {
  readonly place: number;
  /** What it is found again by, beside its address. */
  key: string;
  readonly address: string;
  readonly isSteered: boolean;
  listener: number;
  name: string;
  state: 'opened' | 'serving' | 'retiring' | 'closing';
  /** Since when nobody has it. */
  leftMs: number;
}

export function createEndpoint(parts: EndpointParts, shards: number): Endpoint {
  const { addon, log, checkFree = checkUdpFree } = parts;
  const cidKey = new Uint8Array(randomBytes(CID_KEY_BYTES));
  const places = new Map<number, Place>();
  /** Listeners that are no more, while somebody may know their numbers. */
  const leaving = new Set<number>();
  /** Places that are wanted by what is being opened. */
  let wanted: ReadonlySet<Place> = new Set();
  let timer: NodeJS.Timeout | undefined;
  let isSteeringTold = false;

  return {
    cidKey,
    processGeneration: randomInt(256),
    async open(listeners) {
      const found = await find(listeners, openPlace);
      tellSteering();
      return {
        take() {
          wanted = new Set();
          take(listeners, found);
          watch();
          return told();
        },
        drop() {
          wanted = new Set();
          closeOpened();
          watch();
        },
      };
    },
    async check(listeners) {
      await find(listeners, async () => undefined);
      wanted = new Set();
    },
    isKnown: (number) =>
      [...places.values()].some(({ listener, state }) => listener === number && state !== 'serving') ||
      addon.listenerConnections(number) > 0,
    view: () =>
      [...places.values()]
        .filter(({ state }) => state !== 'opened')
        .map(({ name, address, isSteered, state }) => ({
          name,
          address,
          isSteered,
          state: state === 'serving' ? ('serving' as const) : ('draining' as const),
        })),
    stop() {
      clearTimeout(timer);
      for (const { place } of places.values()) addon.closeListener(place);
      places.clear();
      leaving.clear();
    },
  };

  /**
   * A place for each listener: the one it has, the one that another leaves to it, or what `opener`
   * makes of it.
   */
  async function find(
    listeners: readonly [number, ListenerSnapshot][],
    opener: (number: number, listener: ListenerSnapshot) => Promise<Place | undefined>,
  ): Promise<(Place | undefined)[]> {
    for (const [number, listener] of listeners) {
      addon.checkListener(toBindingListener(listener, { place: 0, listener: number, isRetiring: false }));
      await whenClosed(listener);
    }
    const known = assign(listeners);
    wanted = new Set(known.filter((place) => place !== undefined));
    const failures: LychgateError[] = [];
    const found: (Place | undefined)[] = [];
    for (const [i, [number, listener]] of listeners.entries()) {
      try {
        if (known[i] === undefined && !isLeft(listener.address)) await free(listener);
        found.push(known[i] ?? (await opener(number, listener)));
      } catch (error) {
        if (!(error instanceof LychgateError)) throw error;
        failures.push(error);
      }
    }
    const [first] = failures;
    if (first === undefined) return found;
    wanted = new Set();
    closeOpened();
    if (failures.length === 1) throw first;
    throw createError('listen_failed', failures.map(({ message }) => message).join('; '), first.context, first);
  }

  async function free({ name, address }: ListenerSnapshot): Promise<void> {
    try {
      await checkFree(address);
    } catch (error) {
      const own = [...places.values()].find((place) => overlaps(place.address, address));
      if (own === undefined) throw failed(name, address, error);
      const detail = `listener ${name} cannot listen on ${address}; the edge itself listens on ${own.address}, as ${own.name}`;
      throw createError('listen_failed', detail, { listener: name, address }, error);
    }
  }

  async function openPlace(listener: number, snapshot: ListenerSnapshot): Promise<Place> {
    const { name, address, quic } = snapshot;
    let place = 0;
    while (places.has(place)) place += 1;
    try {
      const { port, isSteered } = addon.openListener(place, address, shards, quic.receive_buffer, quic.send_buffer, cidKey);
      const opened: Place = {
        place,
        key: keyOf(snapshot),
        address: withPort(address, port),
        isSteered,
        listener,
        name,
        state: 'opened',
        leftMs: 0,
      };
      places.set(place, opened);
      return opened;
    } catch (error) {
      throw failed(name, address, error);
    }
  }

  function take(listeners: readonly [number, ListenerSnapshot][], found: readonly (Place | undefined)[]): void {
    const before = new Set([...places.values()].filter(({ state }) => state === 'serving').map(({ listener }) => listener));
    for (const place of places.values()) {
      if (place.state !== 'serving' || found.includes(place)) continue;
      [place.state, place.leftMs] = ['retiring', performance.now()];
      log.info({ listener: place.name, address: place.address }, 'a listener leaves its address; its connections end');
    }
    for (const [i, [listener, snapshot]] of listeners.entries()) {
      const { name } = snapshot;
      const place = found[i];
      if (place === undefined) continue;
      const isNew = place.state !== 'serving' || place.listener !== listener;
      [place.listener, place.name, place.key, place.state] = [listener, name, keyOf(snapshot), 'serving'];
      if (isNew) log.info({ listener: name, address: place.address }, 'a listener listens');
      before.delete(listener);
      leaving.delete(listener);
    }
    for (const listener of before) leaving.add(listener);
  }

  function told(): ListenerPlace[] {
    return [...places.values()]
      .filter(({ state }) => state === 'serving' || state === 'retiring')
      .map(({ place, listener, state }) => ({ place, listener, isRetiring: state === 'retiring' }));
  }

  function closeOpened(): void {
    for (const [number, { state }] of places) {
      if (state !== 'opened') continue;
      addon.closeListener(number);
      places.delete(number);
    }
  }

  function watch(): void {
    clearTimeout(timer);
    const isBusy = leaving.size > 0 || [...places.values()].some(({ state }) => state === 'retiring' || state === 'closing');
    timer = isBusy ? setTimeout(sweep, SWEEP_MS).unref() : undefined;
  }

  function sweep(): void {
    const done = [...places.values()].filter(
      (place) => place.state === 'retiring' && !wanted.has(place) && addon.placeConnections(place.place) === 0,
    );
    for (const place of done) place.state = 'closing';
    if (done.length > 0) parts.onPlaces?.(told());
    for (const { place, name, address, state, leftMs } of places.values()) {
      if (state !== 'closing' || addon.listenerSockets(place) > 0) continue;
      addon.closeListener(place);
      places.delete(place);
      log.info({ listener: name, address, ms: Math.round(performance.now() - leftMs) }, 'an address was closed after its last connection');
    }
    for (const listener of leaving) {
      const isThere = [...places.values()].some((place) => place.listener === listener);
      if (isThere || addon.listenerConnections(listener) > 0) continue;
      addon.removeCertificates(listener);
      leaving.delete(listener);
    }
    watch();
  }

  /** A place that is about to be closed cannot be had again; it is gone in a moment. */
  async function whenClosed(listener: ListenerSnapshot): Promise<void> {
    const untilMs = performance.now() + CLOSING_PATIENCE_MS;
    const isIts = ({ key, address }: Place): boolean => key === keyOf(listener) || address === listener.address;
    const isThere = (): boolean => [...places.values()].some((place) => place.state === 'closing' && isIts(place));
    while (isThere() && performance.now() < untilMs) await sleep(SWEEP_MS / 4);
  }

  /**
   * The places that listeners have already: each its own, or one with its address that nobody else
   * has.
   */
  function assign(listeners: readonly [number, ListenerSnapshot][]): (Place | undefined)[] {
    const open = [...places.values()].filter(({ state }) => state !== 'closing');
    const own = listeners.map(([, listener]) => open.find(({ key }) => key === keyOf(listener)));
    return listeners.map(([, { address }], i) => own[i] ?? open.find((place) => place.address === address && !own.includes(place)));
  }

  /**
   * Whether an address is taken by places of our own alone that nobody is to have any more. Not
   * where they are of another family: for a connection that is open its client would have moved.
   */
  function isLeft(address: string): boolean {
    const own = [...places.values()].filter((place) => overlaps(place.address, address));
    const isFree = (place: Place): boolean =>
      place.state !== 'opened' && !wanted.has(place) && isIPv6Address(place.address) === isIPv6Address(address);
    return own.length > 0 && own.every(isFree);
  }

  function tellSteering(): void {
    if (shards === 1 || isSteeringTold) return;
    isSteeringTold = true;
    const isSteered = [...places.values()].every((place) => place.isSteered);
    log.info({ shards, steering: isSteered ? 'kernel' : 'hand-over' }, 'how packets are steered to shards');
  }
}

/** Of two listeners that take a free port each has its own. */
function keyOf({ name, address }: ListenerSnapshot): string {
  return address.endsWith(':0') ? `${name} ${address}` : address;
}

function failed(name: string, address: string, error: unknown): LychgateError {
  const detail = `listener ${name} cannot listen on ${address}${listenHint(error)}`;
  return createError('listen_failed', detail, { listener: name, address }, error);
}

/** Whether the kernel would not give one to somebody while another has the other. */
function overlaps(one: string, other: string): boolean {
  const [a, b] = [parseAddress(one), parseAddress(other)];
  if (a === undefined || b === undefined || a.port !== b.port) return false;
  return a.host === b.host || isWildcard(a.host) || isWildcard(b.host);
}

function isIPv6Address(address: string): boolean {
  return address.startsWith('[');
}

function withPort(address: string, port: number): string {
  return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
}
