/** The answers of a window, summed up. */
export interface WindowOfSamples {
  samples: number;
  /** Mean latency, µs; 0 without samples. */
  meanUs: number;
  /** Answers later than the target. */
  late: number;
  /** Attempts that failed. */
  drops: number;
  /** Maximum of exchanges in flight. */
  peak: number;
}
