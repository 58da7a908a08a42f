/**
 * Work that others may have their turn in: a generator that yields wherever it may be left off. The
 * same work is done at a stretch where nobody waits.
 */

export type Steps<T> = Generator<void, T>;

/** Does it at a stretch. */
export function finish<T>(work: Steps<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** `make` of each of `items`, with a place to leave off behind each. */
export function* each<T, U>(items: Iterable<T>, make: (item: T, place: number) => U): Steps<U[]> {
  const made: U[] = [];
  for (const item of items) {
    made.push(make(item, made.length));
    yield;
  }
  return made;
}
