/**
 * What V8 keeps of the main thread's heap. Reading ten thousand routes makes some 400 MiB of
 * garbage, for which the heap grows to several times what lives in it. V8 gives memory back when a
 * thread allocates little, and measures that when it collects: a thread that has nothing to do any
 * more never does.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Less is not worth a collection, which stops the main thread for some 3 ms a MiB that lives. */
const WORTH_BYTES = 32 * 2 ** 20;

export interface Heap {
  /**
   * Collects and gives memory back where the heap has grown since it last did, or since it was
   * made. Says whether it did. Nothing that lives is touched.
   */
  giveBack(): boolean;
}

/** Of the calling thread; `worthBytes` is how much it must have grown. */
export function createHeap(worthBytes = WORTH_BYTES): Heap {
  let leastBytes = sizeOf();
  let collect: Collect | undefined;
  return {
    giveBack() {
      const bytes = sizeOf();
      leastBytes = Math.min(leastBytes, bytes);
      if (bytes - leastBytes < worthBytes) return false;
      collect ??= collector();
      // A plain collection keeps the pages that it frees.
      collect({ type: 'major', flavor: 'last-resort' });
      leastBytes = sizeOf();
      return true;
    },
  };
}

type Collect = (options: { readonly type: 'major'; readonly flavor: 'last-resort' }) => void;

function sizeOf(): number {
  return getHeapStatistics().total_heap_size;
}

/** The switch makes it in contexts that are new; nobody else is to find it in theirs. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as Collect;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
