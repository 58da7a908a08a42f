/** Names of routes in logs and metrics. */

import type { Route } from './schema/route.ts';

/**
 * One name a route, in order: the configured one, else one made from the match (host unless any,
 * path, `=` in front of exact ones, `~` of patterns), numbered where several would be called the
 * same.
 */
export function routeNames(routes: readonly Route[]): string[] {
  const taken = new Set(routes.map(({ name }) => name));
  return routes.map(({ name, match }) => {
    if (name !== '') return name;
    const made = nameOfMatch(match);
    let unique = made;
    for (let number = 2; taken.has(unique); number++) unique = `${made}#${number}`;
    taken.add(unique);
    return unique;
  });
}

function nameOfMatch({ host, path, exact, path_regex: pattern, tenant }: Route['match']): string {
  const where = `${tenant === '' ? '' : `${tenant}:`}${host === '*' ? '' : host}`;
  return pattern === '' ? `${exact ? '=' : ''}${where}${path}` : `~${where}${pattern}`;
}
