/**
 * The contract of rules that whoever makes a lane brings along (`LaneOptions.rules`): asked at the
 * end of phase 7, when access lists, limits and places have nothing against a request.
 */

import type { HeadReader } from '../../record/read.ts';
import type { RouteTerms } from '../compile.ts';

/**
 * Its verdict; nobody can wait for it. One that throws ends this exchange with `lane_failed` and no
 * other.
 */
export type Rule = (head: HeadReader, route: RouteTerms) => number;
