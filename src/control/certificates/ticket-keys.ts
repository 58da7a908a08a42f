/**
 * Files of keys of session tickets while the edge runs. What is wrong with one leaves the keys in
 * use, and is told once.
 */

import { noteNumber } from '../../base/notes.ts';
import { readTicketKeys } from '../../config/certificates/ticket-keys.ts';
import type { Complaint } from '../../config/problem.ts';
import { Files } from '../../config/read/files.ts';
import type { ListenerSnapshot } from '../../config/snapshot/listener.ts';
import type { Logger } from '../../observe/log.ts';
import type { Events } from '../events.ts';
import type { Rounds } from './rounds.ts';
import type { Served } from './served.ts';

const CHANGED = noteNumber('certificate_changed');
const REFUSED = noteNumber('certificate_refused');

export class TicketKeys {
  private readonly rounds: Rounds;
  private readonly served: Served;
  private readonly events: Pick<Events, 'note'>;
  private readonly log: Logger;
  /** What is wrong on disk, by number of the listener. */
  private readonly faults = new Map<number, string>();

  constructor(rounds: Rounds, served: Served, events: Pick<Events, 'note'>, log: Logger) {
    this.rounds = rounds;
    this.served = served;
    this.events = events;
    this.log = log;
  }

  paths(): string[] {
    return this.served.all().flatMap(([, { ticketKeysFile: file }]) => (file === '' ? [] : [file]));
  }

  /** The listeners are others. */
  forget(): void {
    this.faults.clear();
  }

  /** Reads those that changed again, and those that were refused. */
  async look(changed: ReadonlySet<string>): Promise<void> {
    for (const [number, { ticketKeysFile: file }] of this.served.all()) {
      if (changed.has(file) || this.faults.has(number)) await this.renew(number, 'watch');
    }
  }

  async renewAll(trigger: string): Promise<void> {
    for (const [number] of this.served.all()) await this.renew(number, trigger);
  }

  private async renew(number: number, trigger: string): Promise<void> {
    const listener = this.served.get(number);
    if (listener.ticketKeysFile === '' || this.rounds.isStopped) return;
    const complaints: Complaint[] = [];
    const keys = await readTicketKeys(listener.ticketKeysFile, [], new Files('/'), complaints);
    const fault = complaints.map(({ message }) => message).join('; ') || this.give(number, listener, keys, trigger);
    if (fault === '') this.faults.delete(number);
    else this.refuse(number, listener, fault, trigger);
  }

  /** Says what is wrong with the keys, or nothing. */
  private give(number: number, { name, ticketKeys: before }: ListenerSnapshot, keys: readonly Uint8Array[], trigger: string): string {
    if (before.length === keys.length && before.every((key, i) => Buffer.compare(key, keys[i] as Uint8Array) === 0)) return '';
    const fault = this.served.renew(number, { ticketKeys: keys });
    if (fault !== '') return fault;
    this.log.info({ listener: name, trigger, keys: keys.length }, 'keys of session tickets changed');
    this.events.note({ note: CHANGED, upstream: -1, slot: -1, detail: 0, text: `${name} keys of session tickets: ${keys.length}` });
    return '';
  }

  private refuse(number: number, { name, ticketKeysFile: file }: ListenerSnapshot, fault: string, trigger: string): void {
    if (this.faults.get(number) === fault) return;
    this.faults.set(number, fault);
    this.log.error({ listener: name, trigger, file, fault }, 'keys of session tickets refused; those before stay in use');
    this.events.note({ note: REFUSED, upstream: -1, slot: -1, detail: 0, text: `${name} keys of session tickets: ${file}: ${fault}` });
  }
}
