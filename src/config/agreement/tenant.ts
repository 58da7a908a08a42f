/** Agreement of tenants and of the store. */

import type { Complaint } from '../problem.ts';
import { factSpelling } from '../schema/certificate-fact.ts';
import type { Config } from '../schema/config.ts';
import { checkOneOf, type IsMended, meaningless, Seen } from './seen.ts';

export function checkTenants({ tenants, routes }: Config, isMended: IsMended): Complaint[] {
  const complaints: Complaint[] = [];
  const marks = new Seen('tenant', isMended);
  const used = new Set(routes.map(({ match }) => match.tenant));
  for (const [name, { hosts, header, value, path: prefix, client_certificate: certificate }] of Object.entries(tenants)) {
    const path = ['tenants', name];
    complaints.push(
      ...checkOneOf(path, { hosts: hosts.length > 0, header: header !== '', path: prefix !== '', client_certificate: certificate !== '' }),
    );
    if (value !== '' && header === '' && certificate === '') {
      complaints.push(meaningless([...path, 'value'], 'without header or client_certificate', 'one of them beside it'));
    }
    for (const [place, host] of hosts.entries()) complaints.push(...marks.note(`host ${host}`, [...path, 'hosts', place], path, host));
    const field = `${header}: ${value === '' ? name : value}`;
    if (header !== '') complaints.push(...marks.note(`field ${field}`, [...path, 'header'], path, field));
    const fact = `${certificate}: ${factSpelling(certificate, value === '' ? name : value)}`;
    if (certificate !== '') complaints.push(...marks.note(`certificate ${fact}`, [...path, 'client_certificate'], path, fact));
    if (prefix !== '') complaints.push(...marks.note(`path ${prefix}`, [...path, 'path'], path, prefix));
    if (!used.has(name)) {
      complaints.push({ severity: 'warning', path, isAboutKey: true, message: 'has no route, so that its requests get 404' });
    }
  }
  return complaints;
}

export function checkStore({ store, routes, tenants }: Config): Complaint[] {
  if (store === undefined) return [];
  const complaints = checkOneOf(['store'], { url: store.url !== '', url_file: store.url_file !== '' });
  const rates = [...routes, ...Object.values(tenants)].flatMap(({ limits }) => limits.rate);
  if (!rates.some(({ shared }) => shared)) {
    complaints.push({ severity: 'warning', path: ['store'], isAboutKey: true, message: 'is not used, as no limit is shared' });
  }
  return complaints;
}
