/**
 * Agreement within an upstream: its backends, TLS, checks and limits. How it picks is
 * `./balance.ts`.
 */

import type { Complaint, KeyPath } from '../problem.ts';
import type { Upstream } from '../schema/upstream.ts';
import { formatDuration, formatSize } from '../units.ts';
import { checkBalance } from './balance.ts';
import { checkQueue } from './limit.ts';
import { checkOrder, type IsMended, meaningless, Seen } from './seen.ts';

export function checkUpstream(name: string, upstream: Upstream, isMended: IsMended): Complaint[] {
  const path = ['upstreams', name] as const;
  const { breaker, pool, limits } = upstream;
  return [
    ...checkBackends(path, upstream, isMended),
    ...checkTls(path, upstream),
    ...checkBalance(path, upstream),
    ...checkOrder([...path, 'breaker'], ['eject', breaker.eject], ['max_eject', breaker.max_eject], formatDuration),
    ...checkHealth([...path, 'health'], upstream),
    ...checkQueue([...path, 'limits'], limits, limits.adaptive !== undefined),
    ...checkAdaptive([...path, 'limits', 'adaptive'], limits.adaptive),
    ...checkOrder(
      [...path, 'limits', 'overload'],
      ['standing_wait', limits.overload.standing_wait],
      ['max_wait', limits.overload.max_wait],
      formatDuration,
    ),
    ...checkOrder([...path, 'pool'], ['stream_window', pool.stream_window], ['session_window', pool.session_window], formatSize),
  ];
}

function checkBackends(path: KeyPath, { backends, locality }: Upstream, isMended: IsMended): Complaint[] {
  const complaints: Complaint[] = [];
  const urls = new Seen('backend', isMended);
  for (const [place, backend] of backends.entries()) {
    const where = [...path, 'backends', place];
    complaints.push(...urls.note(backend.url, [...where, 'url'], `backends[${place}]`));
    if (backend.server_name !== '' && !isTls(backend)) {
      complaints.push(meaningless([...where, 'server_name'], 'without TLS', 'an https:// backend'));
    }
  }
  if (backends.every(({ weight }) => weight === 0)) {
    const message = 'has only weights of 0, so that nothing could be sent';
    complaints.push({ path: [...path, 'backends'], message, expected: 'one weight above 0' });
  }
  if (locality.zone !== '' && !backends.some(({ zone }) => zone === locality.zone)) {
    const message = 'is the zone of no backend of this upstream';
    complaints.push({ severity: 'warning', path: [...path, 'locality', 'zone'], value: JSON.stringify(locality.zone), message });
  }
  return complaints;
}

function checkTls(path: KeyPath, { backends, tls }: Upstream): Complaint[] {
  const where = [...path, 'tls'];
  if (backends.some(isTls)) return [...checkVerification(where, tls), ...checkCredentials(where, tls), ...checkVersions(where, tls)];
  const expected = 'an https:// backend in this upstream';
  return [
    ...(tls.verify ? [] : [meaningless([...where, 'verify'], 'without TLS', expected)]),
    ...(['ca', 'certificate', 'key', 'key_passphrase_file'] as const).flatMap((key) =>
      tls[key] === '' ? [] : [meaningless([...where, key], 'without TLS', expected)],
    ),
    ...(tls.pins.length === 0 ? [] : [meaningless([...where, 'pins'], 'without TLS', expected)]),
  ];
}

function checkVerification(where: KeyPath, { verify, pins }: Upstream['tls']): Complaint[] {
  if (verify) return [];
  if (pins.length > 0) return [meaningless([...where, 'pins'], 'without a verified chain', 'verify: true, with the authority as ca')];
  return [{ severity: 'warning', path: [...where, 'verify'], message: 'leaves the certificates of these backends unverified' }];
}

function checkCredentials(where: KeyPath, { certificate, key, key_passphrase_file: passphraseFile }: Upstream['tls']): Complaint[] {
  if (key === '' && passphraseFile !== '') return [meaningless([...where, 'key_passphrase_file'], 'without a key', 'key beside it')];
  if ((certificate === '') === (key === '')) return [];
  const [given, missing] = certificate === '' ? ['key', 'certificate'] : ['certificate', 'key'];
  return [{ path: [...where, given], message: `stands without ${missing}`, expected: 'both or none' }];
}

function checkVersions(where: KeyPath, { min_version: min, max_version: max }: Upstream['tls']): Complaint[] {
  if (min <= max) return [];
  return [{ path: [...where, 'min_version'], value: JSON.stringify(min), message: `lies above max_version, ${max}` }];
}

function checkHealth(path: KeyPath, { health, backends, tls }: Upstream): Complaint[] {
  if (health === undefined) return [];
  const complaints = checkOrder(path, ['failing_interval', health.failing_interval], ['interval', health.interval], formatDuration);
  if (health.protocol === 'h3' && !backends.every(isTls)) {
    const expected = 'h2, http/1.1 or auto, or only https:// backends';
    complaints.push({ path: [...path, 'protocol'], value: '"h3"', message: 'needs TLS', expected });
  }
  if (health.protocol === 'h3' && tls.max_version !== '1.3') {
    const message = 'needs TLS 1.3, which tls.max_version does not allow';
    complaints.push({ path: [...path, 'protocol'], value: '"h3"', message, expected: 'h2 or http/1.1' });
  }
  const plain = backends.filter(({ url }) => url.startsWith('http:')).length;
  if (health.protocol === 'auto' && plain > 0 && plain < backends.length) {
    const message = 'cannot be told from backends of which some speak HTTP/1.1 only';
    complaints.push({ path: [...path, 'protocol'], message, expected: 'http/1.1 or h2' });
  }
  if (health.method === 'HEAD' && health.body !== '') {
    complaints.push(meaningless([...path, 'body'], 'with HEAD, which has no body', 'method: GET'));
  }
  return complaints;
}

function checkAdaptive(path: KeyPath, adaptive: Upstream['limits']['adaptive']): Complaint[] {
  if (adaptive === undefined) return [];
  const { min, initial, max, brownout } = adaptive;
  return [
    ...checkOrder(path, ['min', min], ['initial', initial], String),
    ...checkOrder(path, ['initial', initial], ['max', max], String),
    ...checkOrder([...path, 'brownout'], ['low', brownout.low], ['normal', brownout.normal], String),
    ...checkOrder([...path, 'brownout'], ['normal', brownout.normal], ['high', brownout.high], String),
  ];
}

function isTls({ url }: { readonly url: string }): boolean {
  return url.startsWith('https:');
}
