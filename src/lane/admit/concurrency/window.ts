/** What the answers of a window say together. */
export interface WindowOfSamples {
  samples: number;
  /** Mean latency, µs; 0 without samples. */
  meanUs: number;
  /** Later than the target. */
  late: number;
  /** Failed. */
  drops: number;
  /** Most exchanges in flight. */
  peak: number;
}
