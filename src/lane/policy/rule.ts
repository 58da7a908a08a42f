/**
 * The contract of rules, asked in phase 7 (admit) after a route was found and before a backend is picked. Access lists, identity and limits
 * will stand beside this file, one a folder; none does yet.
 */

import type { HeadReader } from '../../record/read.ts';
import type { RouteTerms } from '../compile.ts';

/** The rule has nothing against it. */
export const PASS = 0;

/** Says PASS or the number of the reason that refuses the request. One that throws ends this exchange with `lane_failed` and no other. */
export type Rule = (head: HeadReader, route: RouteTerms) => number;
