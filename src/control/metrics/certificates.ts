/**
 * Metrics of certificates: when they run out, and what became of their files. Read at the moment of
 * a scrape.
 */

import type { Registry } from 'prom-client';
import type { Family } from '../../observe/families.ts';
import type { Rotation } from '../certificates/rotation.ts';
import type { Trust } from '../certificates/trust.ts';
import { addFamily } from './add-family.ts';

const CERTIFICATE = ['listener', 'certificate'];

/** The families as the reference page describes them. */
const CERTIFICATE_FAMILIES = {
  expiry: family('lychgate_certificate_expiry_timestamp_seconds', 'gauge', 'When the certificate in use runs out (its leaf).', CERTIFICATE),
  refused: family(
    'lychgate_certificate_refused',
    'gauge',
    '1 while what is on disk is not in use because something is wrong with it; /v1/certificates says what.',
    CERTIFICATE,
  ),
  reloads: family(
    'lychgate_certificate_reloads_total',
    'counter',
    'Times the files of a certificate were read again, by result: changed (in use since), unchanged (asked for, or good again), refused (the one before stays).',
    [...CERTIFICATE, 'result'],
  ),
} as const;

/** Adds the families to `registry`; every certificate and result has a series from the start. */
export function addCertificateMetrics(registry: Registry, rotation: Pick<Rotation, 'view' | 'counts'>): void {
  addFamily(registry, CERTIFICATE_FAMILIES.expiry, (put) => {
    for (const { listener, certificate, notAfter } of rotation.view()) put({ listener, certificate }, Date.parse(notAfter) / 1_000);
  });
  addFamily(registry, CERTIFICATE_FAMILIES.refused, (put) => {
    for (const { listener, certificate, refusal } of rotation.view()) put({ listener, certificate }, refusal === null ? 0 : 1);
  });
  addFamily(registry, CERTIFICATE_FAMILIES.reloads, (put) => {
    for (const { listener, certificate, result, count } of rotation.counts()) put({ listener, certificate, result }, count);
  });
}

const TRUST_FAMILIES = {
  expiry: family(
    'lychgate_upstream_certificate_expiry_timestamp_seconds',
    'gauge',
    'When the certificate that is shown to the backends of an upstream runs out.',
    ['upstream'],
  ),
  refused: family(
    'lychgate_upstream_certificate_refused',
    'gauge',
    '1 while what an upstream trusts or shows is not what is on disk, because something is wrong with that; /v1/upstreams says what.',
    ['upstream'],
  ),
  reloads: family(
    'lychgate_upstream_certificate_reloads_total',
    'counter',
    'Times the files of what an upstream trusts and shows were read again, by result: changed (in use since), unchanged (asked for, or good again), refused (the one before stays).',
    ['upstream', 'result'],
  ),
} as const;

/**
 * Adds the families to `registry`; every upstream that has files and every result has a series from
 * the start.
 */
export function addTrustMetrics(registry: Registry, trust: Pick<Trust, 'view' | 'counts'>): void {
  addFamily(registry, TRUST_FAMILIES.expiry, (put) => {
    for (const [upstream, { certificate }] of trust.view())
      if (certificate !== null) put({ upstream }, Date.parse(certificate.notAfter) / 1_000);
  });
  addFamily(registry, TRUST_FAMILIES.refused, (put) => {
    for (const [upstream, { refusal }] of trust.view()) put({ upstream }, refusal === null ? 0 : 1);
  });
  addFamily(registry, TRUST_FAMILIES.reloads, (put) => {
    for (const { upstream, result, count } of trust.counts()) put({ upstream, result }, count);
  });
}

function family(name: string, kind: Family['kind'], help: string, labels: readonly string[]): Family {
  return { name, kind, help, labels };
}
