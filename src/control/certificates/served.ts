/**
 * Listeners as the reactors have them: with the certificates, keys and rules that are in use now.
 */

import { isDeepStrictEqual } from 'node:util';
import type { ListenerSnapshot } from '../../config/snapshot/listener.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { giveCertificates, toBindingCertificate, toBindingPolicy } from '../../native/convert.ts';

/** Listeners with their numbers. */
export type Listeners = readonly (readonly [number, ListenerSnapshot])[];

/** What of a listener's handshakes files can change. */
export type Renewal = Partial<Pick<ListenerSnapshot, 'certificates' | 'clientAuth' | 'ticketKeys'>>;

export class Served {
  private readonly addon: Pick<BindingAddon, 'setCertificates' | 'removeCertificates'>;
  private byNumber: Map<number, ListenerSnapshot>;

  constructor(addon: Pick<BindingAddon, 'setCertificates' | 'removeCertificates'>, listeners: Listeners) {
    this.addon = addon;
    this.byNumber = new Map(listeners);
  }

  all(): [number, ListenerSnapshot][] {
    return [...this.byNumber];
  }

  get(number: number): ListenerSnapshot {
    const listener = this.byNumber.get(number);
    if (listener === undefined) throw new RangeError(`there is no listener ${number}`);
    return listener;
  }

  /** Has handshakes of a listener go by `renewal`; says what is wrong with it, or nothing. */
  renew(number: number, renewal: Renewal): string {
    const next = { ...this.get(number), ...renewal };
    try {
      giveCertificates(this.addon, number, next);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    this.byNumber.set(number, next);
    return '';
  }

  /**
   * Has all handshakes go by other listeners or, where those of one cannot be used, by none: then
   * it throws.
   */
  replace(listeners: Listeners): void {
    const changed = listeners.filter(([number, listener]) => !isDeepStrictEqual(given(listener), given(this.byNumber.get(number))));
    try {
      for (const [number, listener] of changed) giveCertificates(this.addon, number, listener);
    } catch (error) {
      for (const [number] of changed) {
        const listener = this.byNumber.get(number);
        if (listener !== undefined) giveCertificates(this.addon, number, listener);
        else this.addon.removeCertificates(number);
      }
      throw error;
    }
    this.byNumber = new Map(listeners);
  }
}

/** What the reactors are told of a listener's handshakes. */
function given(listener: ListenerSnapshot | undefined): unknown {
  return listener === undefined ? undefined : [listener.certificates.map(toBindingCertificate), toBindingPolicy(listener)];
}
