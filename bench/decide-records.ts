/**
 * Heads and completions for `./decide.ts`: as many different ones as keep caches honest, each
 * always the same.
 */

import { completionBytes, headBytes, sampleCompletion, sampleHead } from '../test/support/records.ts';
import type { RouteWish } from '../test/support/snapshots.ts';

/**
 * Of a small client, or of a browser as it asks for a part of a page: fields in their usual order,
 * what the features look for among them.
 */
export function headOf(i: number, routes: readonly RouteWish[], isBrowser: boolean): Buffer {
  const route = routes[(i * 7_919) % routes.length]!;
  const { host = '*', path: below = '/' } = route.match ?? {};
  const path = `${below === '/' ? '' : below}/item-${i}?page=${i % 10}`;
  return headBytes(
    sampleHead({
      index: i,
      generation: i,
      authority: host.replace('*', 'eu'),
      path,
      address: [127, 0, i >> 4, i & 15],
      fields: isBrowser ? browserFields(i) : smallFields(i),
    }),
  );
}

const AGENT = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36';

const sessionOf = (i: number): string => (i * 2_654_435_761).toString(16).padStart(16, '0');

function smallFields(i: number): [string, string][] {
  return [
    ['user-agent', AGENT],
    ['accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'],
    ['accept-language', 'en-GB,en;q=0.9'],
    ['accept-encoding', 'gzip, deflate, br'],
    ['cookie', `theme=dark; session=${sessionOf(i)}`],
    ['x-tenant', 'abcd'[i % 4]!],
    ['grpc-timeout', '30S'],
  ];
}

function browserFields(i: number): [string, string][] {
  const digits = sessionOf(i).repeat(4);
  return [
    ['sec-ch-ua', '"Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"'],
    ['sec-ch-ua-mobile', '?0'],
    ['sec-ch-ua-platform', '"Linux"'],
    ['x-tenant', 'abcd'[i % 4]!],
    ['grpc-timeout', '30S'],
    ['user-agent', AGENT],
    ['x-requested-with', 'XMLHttpRequest'],
    ['accept', 'application/json, text/plain, */*'],
    ['origin', 'https://shop.example.test'],
    ['sec-fetch-site', 'same-site'],
    ['sec-fetch-mode', 'cors'],
    ['sec-fetch-dest', 'empty'],
    ['referer', 'https://shop.example.test/catalogue/chairs?page=3&sort=price'],
    ['accept-encoding', 'gzip, deflate, br, zstd'],
    ['accept-language', 'en-GB,en-US;q=0.9,en;q=0.8'],
    [
      'cookie',
      `_ga=GA1.1.${digits.slice(0, 20)}; _gid=GA1.2.${digits.slice(20, 40)}; theme=dark; consent=v2:necessary:analytics; ` +
        `_fbp=fb.1.${digits.slice(0, 26)}; locale=en-GB; currency=EUR; session=${sessionOf(i)}; csrf=${digits.slice(0, 32)}; recent=${digits.slice(0, 40)}`,
    ],
    ['if-none-match', `"${digits.slice(0, 24)}"`],
    ['priority', 'u=1, i'],
  ];
}

/** Completion number `i`. */
export function completionOf(i: number): Buffer {
  return completionBytes(
    sampleCompletion({
      index: i,
      generation: i,
      awaitUs: 300 + ((i * 131) % 900),
      totalUs: 500 + ((i * 137) % 2_000),
      path: '/api/v1/orders/item-1?page=1',
    }),
  );
}
