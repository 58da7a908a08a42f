/** Paths rewritten by regular expression: the value `${value_0}` of a plan. */

import type { PathEditSnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';

export class PathRewrite {
  /** Undefined where a plan's own edits do it. */
  static of(_edit: PathEditSnapshot, _bytes: Uint8Array): PathRewrite | undefined {
    return undefined;
  }

  /** The path with query that goes upstream. */
  apply(head: HeadReader): string {
    return head.path();
  }
}
