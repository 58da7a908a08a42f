/** Paths rewritten by regular expression: the value `${value_0}` of a plan. */

import type { PathEditSnapshot } from '../../config/snapshot/route.ts';
import type { HeadReader } from '../../record/read.ts';
import { compilePathEdit, type PathEdit } from './path-edit.ts';

export class PathRewrite {
  private readonly edit: PathEdit;

  /** Undefined if edits of the plan do it. */
  static of(edit: PathEditSnapshot): PathRewrite | undefined {
    return edit.kind === 'regex' ? new PathRewrite(compilePathEdit(edit)!) : undefined;
  }

  private constructor(edit: PathEdit) {
    this.edit = edit;
  }

  /**
   * The path with query that goes upstream; empty if it is the client's (an edit without a value
   * leaves the path as it is).
   */
  apply(head: HeadReader): string {
    return this.edit.apply(head.path()) ?? '';
  }
}
