/**
 * The route tag: one u32 that the lane gives with a decision and gets back, unread, with failures
 * and the completion. It holds all that a lane must remember of an exchange, so that the lane keeps
 * no state per exchange and the successor of a dead worker misses nothing. Bits 0-19: route. Bits
 * 20-27: backends tried, by position. Bits 28-31: the snapshot that these numbers belong to.
 */

/** No route matched. */
export const TAG_NO_ROUTE = 0xf_ffff;
/** How many snapshots can be alive at once. 15 is left out so that no tag equals `NONE`. */
export const TAG_EPOCHS = 15;

export function packTag(epoch: number, tried: number, route: number): number {
  return ((epoch << 28) | (tried << 20) | (route & TAG_NO_ROUTE)) >>> 0;
}

export function tagRoute(tag: number): number {
  return tag & TAG_NO_ROUTE;
}

export function tagTried(tag: number): number {
  return (tag >>> 20) & 0xff;
}

export function tagEpoch(tag: number): number {
  return tag >>> 28;
}
