/** Agreement within `balance`: what a policy needs, and what it does not look at. */

import type { Complaint, KeyPath } from '../problem.ts';
import type { Upstream } from '../schema/upstream.ts';
import { checkOneOf, meaningless } from './seen.ts';

export function checkBalance(upstreamPath: KeyPath, { balance, backends }: Upstream): Complaint[] {
  const path = [...upstreamPath, 'balance'];
  const { policy, keys, table_size: size, sticky } = balance;
  const complaints: Complaint[] = [];
  const isHashing = policy === 'ring-hash' || policy === 'maglev';
  if (isHashing && keys.length === 0) {
    const expected = 'balance.keys beside it, such as [client]';
    complaints.push({ path: [...path, 'policy'], value: JSON.stringify(policy), message: 'has no keys to hash', expected });
  }
  if (!isHashing && keys.length > 0) complaints.push(meaningless([...path, 'keys'], `with ${policy}`, 'ring-hash or maglev as policy'));
  if (!isPrime(size)) {
    complaints.push({ path: [...path, 'table_size'], value: String(size), message: 'is no prime', expected: 'a prime such as 65537' });
  } else if (policy === 'maglev' && size < backends.length) {
    const expected = `at least ${backends.length}, better a hundred times as much`;
    complaints.push({ path: [...path, 'table_size'], value: String(size), message: 'has no room for every backend', expected });
  }
  if (sticky !== undefined) complaints.push(...checkSticky([...path, 'sticky'], sticky));
  return complaints;
}

function checkSticky(path: KeyPath, sticky: NonNullable<Upstream['balance']['sticky']>): Complaint[] {
  const { by, key, key_file: file, max_age: maxAge } = sticky;
  if (by === 'cookie') return key !== '' && file !== '' ? checkOneOf(path, { key: true, key_file: true }) : [];
  const given = { key: key !== '', key_file: file !== '', max_age: maxAge !== 0 };
  return Object.entries(given)
    .filter(([, isGiven]) => isGiven)
    .map(([name]) => meaningless([...path, name], 'without a cookie', 'by: cookie'));
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}
