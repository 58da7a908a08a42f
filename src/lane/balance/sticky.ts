/** Sessions that stay with their backend, by sealed cookie or by connection. */

import type { HeadReader } from '../../record/read.ts';

export interface Sticky {
  /** The position of the member that the session belongs to, NO_MEMBER when it says none (or one that is gone). */
  read(head: HeadReader): number;
  /** Set-Cookie for a session that now belongs to the member at `position`; empty when nothing has to be set. */
  setCookie(position: number): string;
}
