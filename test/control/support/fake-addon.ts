/**
 * An addon without reactors: it writes down what it is told, in order, and reports the exchanges a
 * test says are open.
 */
import type { BindingAddon, BindingReactorOptions, BindingSnapshot } from '../../../src/native/binding.ts';

export interface FakeAddon extends BindingAddon {
  readonly calls: string[];
  readonly reactors: BindingReactorOptions[];
  readonly applied: BindingSnapshot[];
  exchanges: number;
  /**
   * Errors that wait for the next calls of `reactorCreate` and `reactorAttach`; undefined lets a
   * call pass.
   */
  readonly createErrors: (Error | undefined)[];
  readonly attachErrors: (Error | undefined)[];
}

const RING_BYTES = 4_096 + 2 ** 20 + 2 ** 18;

export function createFakeAddon(): FakeAddon {
  const calls: string[] = [];
  const fake: Partial<FakeAddon> = {
    calls,
    reactors: [],
    applied: [],
    exchanges: 0,
    createErrors: [],
    attachErrors: [],
    version: () => '0.0.0-fake',
    openListener(place, address) {
      calls.push(`open ${place} ${address}`);
      return { port: 4433, isSteered: true };
    },
    closeListener: (place) => void calls.push(`close listener ${place}`),
    checkListener() {},
    listenerSockets: () => 0,
    placeConnections: () => 0,
    listenerConnections: () => 0,
    removeCertificates: (listener) => void calls.push(`remove certificates ${listener}`),
    limitHeld() {},
    reactorLimit() {},
    reactorListen: (shard, listeners) => void calls.push(`listen ${shard} ${listeners.map(({ place }) => place).join(' ')}`),
    setCertificates: (listener, certificates) =>
      void calls.push(`certificates ${listener} ${certificates.map(({ label }) => label).join(' ')}`),
    reactorCreate(options) {
      const error = fake.createErrors?.shift();
      if (error !== undefined) throw error;
      calls.push(`create ${options.shard}`);
      fake.reactors?.push(options);
    },
    reactorDestroy: (shard) => void calls.push(`destroy ${shard}`),
    reactorAttach(shard) {
      const error = fake.attachErrors?.shift();
      if (error !== undefined) throw error;
      calls.push(`attach ${shard}`);
      return new ArrayBuffer(RING_BYTES);
    },
    reactorDetach: (shard) => void calls.push(`detach ${shard}`),
    reactorApply(_shard, snapshot) {
      calls.push(`apply ${snapshot.generation}`);
      fake.applied?.push(snapshot);
    },
    reactorLearnPlans: (_shard, { plans }) => void calls.push(`plans ${plans.map(({ number }) => number).join(' ')}`),
    reactorDrain: (shard) => void calls.push(`drain ${shard}`),
    reactorClose: (shard) => void calls.push(`close ${shard}`),
    reactorConnections: (_shard, limit) => JSON.stringify([{ limit }]),
    reactorSessions() {
      throw new Error('no sessions here');
    },
    reactorCounters: () => new Float64Array(),
    families: () => [],
    certificateHandshakes: () => [],
    clientCertificatesEnded: () => [],
    takePanics: () => [],
    plantPanic: () => {},
    reactorLaneBusyMs: () => 0,
    reactorExchanges: () => fake.exchanges ?? 0,
    reactorOldestExchange: () => -1,
  };
  return fake as FakeAddon;
}
