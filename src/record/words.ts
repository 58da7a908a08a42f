// Made by `npm run records` from native/core/src/record/records.yaml, not by hand.
/**
 * The words of each record before its table and text, by name: read from the memory into the fields
 * of a reader that lives as long as the lane, and written into a record that was begun.
 */

import type { RecordMemory } from './ring.ts';

/** The exchange a record is about, and what the lane remembers of it. */
export interface SubjectWords {
  readonly exchangeIndex: number;
  readonly exchangeGeneration: number;
  readonly tag: number;
  readonly memo0: number;
  readonly memo1: number;
  readonly memo2: number;
}

/** A request that has to be decided. `read` points it at one record after the other. */
export class HeadWords {
  exchangeIndex = 0;
  exchangeGeneration = 0;
  /** Number of the listener. */
  listener = 0;
  /** Flags. */
  flags = 0;
  /** Number of the connection (unique in the process). */
  connection = 0;
  /** Content length, -1 when not known. */
  contentLength = 0;
  /** Lengths: of the method, of the scheme. */
  methodLength = 0;
  schemeLength = 0;
  /**
   * Lengths: of the authority (the Host field's where there is no `:authority`), of the path with
   * query.
   */
  authorityLength = 0;
  pathLength = 0;
  /** Number of regular fields. */
  fieldCount = 0;
  /** Length of the request id that the reactor minted (32 hex digits). */
  requestIdLength = 0;
  /** Route tag as given with Wait, 0xffffffff at first. */
  tag = 0;
  /** Memo as given with Wait, 0 at first. */
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
  /** Μs since the head was decoded, 0 at first. */
  ageUs = 0;
  /**
   * Length of what the client's certificate says, 0 where the client has none and where no rule of
   * the snapshot asks.
   */
  certificateLength = 0;
  protected readonly memory: RecordMemory;
  protected at = 0;

  constructor(memory: RecordMemory) {
    this.memory = memory;
  }

  /** Points at the record whose first word is `at`. */
  read(at: number): void {
    const words = this.memory.words;
    const floats = this.memory.floats;
    this.at = at;
    this.exchangeIndex = words[at + 2]!;
    this.exchangeGeneration = words[at + 3]!;
    this.listener = words[at + 4]!;
    this.flags = words[at + 5]!;
    this.connection = floats[(at + 12) >>> 1]!;
    this.contentLength = floats[(at + 14) >>> 1]!;
    this.methodLength = words[at + 16]! & 0xffff;
    this.schemeLength = words[at + 16]! >>> 16;
    this.authorityLength = words[at + 17]! & 0xffff;
    this.pathLength = words[at + 17]! >>> 16;
    this.fieldCount = words[at + 18]!;
    this.requestIdLength = words[at + 19]!;
    this.tag = words[at + 20]!;
    this.memo0 = words[at + 21]!;
    this.memo1 = words[at + 22]!;
    this.memo2 = words[at + 23]!;
    this.ageUs = words[at + 24]!;
    this.certificateLength = words[at + 25]!;
  }

  /** Peer: family (4 or 6), port. */
  get peerFamily(): number {
    return this.memory.words[this.at + 6]! & 0xffff;
  }

  /** Peer: family (4 or 6), port. */
  get peerPort(): number {
    return this.memory.words[this.at + 6]! >>> 16;
  }

  /** Byte place of address of the peer: 16 bytes. */
  get peerAddressByte(): number {
    return (this.at + 7) << 2;
  }

  /** TLS: cipher suite, key-exchange group. */
  get cipherSuite(): number {
    return this.memory.words[this.at + 11]! & 0xffff;
  }

  /** TLS: cipher suite, key-exchange group. */
  get keyGroup(): number {
    return this.memory.words[this.at + 11]! >>> 16;
  }
}

/** What a Head is given beside its exchange. */
export interface GivenHead {
  /** Number of the listener. */
  readonly listener: number;
  /** Flags. */
  readonly flags: number;
  /** Peer: family (4 or 6), port. */
  readonly peerFamily: number;
  readonly peerPort: number;
  /** Address of the peer. */
  readonly peerAddress: Uint8Array;
  /** TLS: cipher suite, key-exchange group. */
  readonly cipherSuite: number;
  readonly keyGroup: number;
  /** Number of the connection (unique in the process). */
  readonly connection: number;
  /** Content length, -1 when not known. */
  readonly contentLength: number;
  /** Lengths: of the method, of the scheme. */
  readonly methodLength: number;
  readonly schemeLength: number;
  /**
   * Lengths: of the authority (the Host field's where there is no `:authority`), of the path with
   * query.
   */
  readonly authorityLength: number;
  readonly pathLength: number;
  /** Number of regular fields. */
  readonly fieldCount: number;
  /** Length of the request id that the reactor minted (32 hex digits). */
  readonly requestIdLength: number;
  /** Μs since the head was decoded, 0 at first. */
  readonly ageUs: number;
  /**
   * Length of what the client's certificate says, 0 where the client has none and where no rule of
   * the snapshot asks.
   */
  readonly certificateLength: number;
}

/** A request that has to be decided. */
export function writeHead(memory: RecordMemory, at: number, subject: SubjectWords, given: GivenHead): void {
  const words = memory.words;
  words[at + 2] = subject.exchangeIndex;
  words[at + 3] = subject.exchangeGeneration;
  words[at + 4] = given.listener;
  words[at + 5] = given.flags;
  words[at + 6] = given.peerFamily | (given.peerPort << 16);
  words.fill(0, at + 7, at + 11);
  memory.bytes.set(given.peerAddress, (at + 7) << 2);
  words[at + 11] = given.cipherSuite | (given.keyGroup << 16);
  memory.floats[(at + 12) >>> 1] = given.connection;
  memory.floats[(at + 14) >>> 1] = given.contentLength;
  words[at + 16] = given.methodLength | (given.schemeLength << 16);
  words[at + 17] = given.authorityLength | (given.pathLength << 16);
  words[at + 18] = given.fieldCount;
  words[at + 19] = given.requestIdLength;
  words[at + 20] = subject.tag;
  words[at + 21] = subject.memo0;
  words[at + 22] = subject.memo1;
  words[at + 23] = subject.memo2;
  words[at + 24] = given.ageUs;
  words[at + 25] = given.certificateLength;
}

/**
 * An attempt that ended before anything was committed to the client. `read` points it at one record
 * after the other.
 */
export class AttemptFailedWords {
  exchangeIndex = 0;
  exchangeGeneration = 0;
  /** Attempts made so far (1 = the first failed). */
  attempts = 0;
  /** Backend slot of the attempt. */
  slot = 0;
  /** Route tag, as the lane gave it in Forward. */
  tag = 0;
  /** Reason number. */
  reason = 0;
  /** Flags. */
  flags = 0;
  /** Μs since the decision. */
  durationUs = 0;
  /** Number of the connection. */
  connection = 0;
  /** Plan, as given. */
  plan = 0;
  /** Memo. */
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
  /** Status of the response that is held, or was (`HELD`, `WAITED`); 0 when there was none. */
  status = 0;
  /** Its gRPC status, 0xffffffff when it has none. */
  grpcStatus = 0;
  /** Its Retry-After in seconds, 0xffffffff when it has none (or one that is no number). */
  retryAfterS = 0;
  /** Μs since the head was decoded. */
  ageUs = 0;
  protected readonly memory: RecordMemory;
  protected at = 0;

  constructor(memory: RecordMemory) {
    this.memory = memory;
  }

  /** Points at the record whose first word is `at`. */
  read(at: number): void {
    const words = this.memory.words;
    const floats = this.memory.floats;
    this.at = at;
    this.exchangeIndex = words[at + 2]!;
    this.exchangeGeneration = words[at + 3]!;
    this.attempts = words[at + 4]!;
    this.slot = words[at + 5]!;
    this.tag = words[at + 6]!;
    this.reason = words[at + 7]!;
    this.flags = words[at + 8]!;
    this.durationUs = words[at + 9]!;
    this.connection = floats[(at + 10) >>> 1]!;
    this.plan = words[at + 12]!;
    this.memo0 = words[at + 14]!;
    this.memo1 = words[at + 15]!;
    this.memo2 = words[at + 16]!;
    this.status = words[at + 17]!;
    this.grpcStatus = words[at + 18]!;
    this.retryAfterS = words[at + 19]!;
    this.ageUs = words[at + 20]!;
  }

  /** Length of the request id. */
  get requestIdLength(): number {
    return this.memory.words[this.at + 13]!;
  }
}

/** How an exchange ended. `read` points it at one record after the other. */
export class CompletionWords {
  exchangeIndex = 0;
  exchangeGeneration = 0;
  /**
   * Route tag of the last Forward or Respond; 0xffffffff when none was given, so always where there
   * was no offer.
   */
  tag = 0;
  /** Backend slot of the last attempt, 0xffffffff when none. */
  slot = 0;
  /** Attempts made. */
  attempts = 0;
  /** Status sent to the client (0 when none was). */
  status = 0;
  /** Reason number, 0 when nothing is to be said. */
  reason = 0;
  /** Flags. */
  flags = 0;
  /** Number of the listener. */
  listener = 0;
  /** Μs from head decoded to the last decision; earlier attempts are in it. */
  decideUs = 0;
  /** Μs from the last decision to stream opened (connect and waiting). */
  openUs = 0;
  /** Μs from opened to request sent (head and body). */
  sendUs = 0;
  /** Μs from opened to response head, of the last attempt. */
  awaitUs = 0;
  /** Μs from head decoded to end; from the stream's first byte when the head never came. */
  totalUs = 0;
  /** Smoothed RTT of the connection in µs. */
  rttUs = 0;
  /** Body bytes received from the client. */
  bytesIn = 0;
  /** Body bytes sent to the client. */
  bytesOut = 0;
  /** Number of the connection. */
  connection = 0;
  /** Wall clock at head decoded, ms since the epoch. */
  startedMs = 0;
  /** Response status of the backend, 0 when none came. */
  backendStatus = 0;
  /** Memo. */
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
  /** GRPC status of the response, from its trailers or its head; 0xffffffff when it has none. */
  grpcStatus = 0;
  /** Retry-After of the response in seconds when its status is 429 or 503; 0xffffffff otherwise. */
  retryAfterS = 0;
  /**
   * Backend slot of the attempt that lost against the one that answered, or still ran beside
   * another when the exchange ended without an answer; 0xffffffff when there was none.
   */
  loserSlot = 0;
  /** Μs from the decision of the losing attempt to its end. */
  loserUs = 0;
  protected readonly memory: RecordMemory;
  protected at = 0;

  constructor(memory: RecordMemory) {
    this.memory = memory;
  }

  /** Points at the record whose first word is `at`. */
  read(at: number): void {
    const words = this.memory.words;
    const floats = this.memory.floats;
    this.at = at;
    this.exchangeIndex = words[at + 2]!;
    this.exchangeGeneration = words[at + 3]!;
    this.tag = words[at + 4]!;
    this.slot = words[at + 5]!;
    this.attempts = words[at + 6]!;
    this.status = words[at + 7]!;
    this.reason = words[at + 8]!;
    this.flags = words[at + 9]!;
    this.listener = words[at + 10]!;
    this.decideUs = words[at + 16]!;
    this.openUs = words[at + 17]!;
    this.sendUs = words[at + 18]!;
    this.awaitUs = words[at + 19]!;
    this.totalUs = words[at + 20]!;
    this.rttUs = words[at + 21]!;
    this.bytesIn = floats[(at + 22) >>> 1]!;
    this.bytesOut = floats[(at + 24) >>> 1]!;
    this.connection = floats[(at + 26) >>> 1]!;
    this.startedMs = floats[(at + 28) >>> 1]!;
    this.backendStatus = words[at + 33]!;
    this.memo0 = words[at + 34]!;
    this.memo1 = words[at + 35]!;
    this.memo2 = words[at + 36]!;
    this.grpcStatus = words[at + 37]!;
    this.retryAfterS = words[at + 38]!;
    this.loserSlot = words[at + 39]!;
    this.loserUs = words[at + 40]!;
  }

  /** Peer: family, port; as in Head. */
  get peerFamily(): number {
    return this.memory.words[this.at + 11]! & 0xffff;
  }

  /** Peer: family, port; as in Head. */
  get peerPort(): number {
    return this.memory.words[this.at + 11]! >>> 16;
  }

  /** Byte place of address of the peer; zero, like word 28, when the head never came: 16 bytes. */
  get peerAddressByte(): number {
    return (this.at + 12) << 2;
  }

  /** Lengths: of the request id, of the method. */
  get requestIdLength(): number {
    return this.memory.words[this.at + 30]! & 0xffff;
  }

  /** Lengths: of the request id, of the method. */
  get methodLength(): number {
    return this.memory.words[this.at + 30]! >>> 16;
  }

  /** Lengths: of the authority, of the path (cut at 2,048). */
  get authorityLength(): number {
    return this.memory.words[this.at + 31]! & 0xffff;
  }

  /** Lengths: of the authority, of the path (cut at 2,048). */
  get pathLength(): number {
    return this.memory.words[this.at + 31]! >>> 16;
  }

  /** Length of the user-agent (cut at 256). */
  get userAgentLength(): number {
    return this.memory.words[this.at + 32]!;
  }

  /**
   * Length of what access lines say of the certificate, 0 where there is none and without
   * `log.access.client_certificates`.
   */
  get certificateLength(): number {
    return this.memory.words[this.at + 41]!;
  }
}

/**
 * The hedge delay of a Forward passed, and no response head is here. `read` points it at one record
 * after the other.
 */
export class LateWords {
  exchangeIndex = 0;
  exchangeGeneration = 0;
  /** Attempts made so far. */
  attempts = 0;
  /** Backend slot of the running attempt. */
  slot = 0;
  /** Route tag. */
  tag = 0;
  /** Memo. */
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
  /** Μs since the decision of the running attempt. */
  durationUs = 0;
  /** Μs since the head was decoded. */
  ageUs = 0;
  /** Plan, as given. */
  plan = 0;
  protected readonly memory: RecordMemory;
  protected at = 0;

  constructor(memory: RecordMemory) {
    this.memory = memory;
  }

  /** Points at the record whose first word is `at`. */
  read(at: number): void {
    const words = this.memory.words;
    this.at = at;
    this.exchangeIndex = words[at + 2]!;
    this.exchangeGeneration = words[at + 3]!;
    this.attempts = words[at + 4]!;
    this.slot = words[at + 5]!;
    this.tag = words[at + 6]!;
    this.memo0 = words[at + 7]!;
    this.memo1 = words[at + 8]!;
    this.memo2 = words[at + 9]!;
    this.durationUs = words[at + 10]!;
    this.ageUs = words[at + 11]!;
    this.plan = words[at + 12]!;
  }
}

/** What a Forward is given beside its exchange. */
export interface GivenForward {
  /** Plan of the present snapshot; the exchange keeps it when a new one comes. */
  readonly plan: number;
  /** Backend slot. */
  readonly slot: number;
  /** Flags. */
  readonly flags: number;
  /** Connect timeout, ms (while a session is on its way). */
  readonly connectTimeoutMs: number;
  /** Response head timeout, ms (from request sent). */
  readonly headTimeoutMs: number;
  /** Idle timeout, ms (no byte either way while the body lasts). */
  readonly idleTimeoutMs: number;
  /**
   * Whole-exchange timeout, ms, 0 = none; 0xffffffff = as an earlier Forward of the exchange said.
   */
  readonly exchangeTimeoutMs: number;
  /** Greatest request body in bytes, -1 = no limit; a longer one gets 413 from the reactor. */
  readonly maxBodyBytes: number;
  /** Attempt timeout, ms (from the decision to the response head), 0 = none. */
  readonly attemptTimeoutMs: number;
  /** Hedge delay, ms (from the decision; a Late record follows), 0 = none. */
  readonly hedgeDelayMs: number;
  /** Number of values that the plan's edits name (`${value_0}` …), at most 4. */
  readonly valueCount: number;
  /** Bytes of the request body that are kept for another attempt. */
  readonly replayBytes: number;
  /** Place timeout, ms (while the backend's pool is full). */
  readonly placeTimeoutMs: number;
  /**
   * Network of the client that a trusted proxy named: an IPv4 address and 0xffff, or the first 64
   * bits of an IPv6 address (0 counts as 1); 0 = as an earlier Forward said, at first the peer's.
   */
  readonly clientLow: number;
  readonly clientHigh: number;
}

/** The exchange goes to a backend. */
export function writeForward(memory: RecordMemory, at: number, subject: SubjectWords, given: GivenForward): void {
  const words = memory.words;
  words[at + 2] = subject.exchangeIndex;
  words[at + 3] = subject.exchangeGeneration;
  words[at + 4] = given.plan;
  words[at + 5] = given.slot;
  words[at + 6] = subject.tag;
  words[at + 7] = given.flags;
  words[at + 8] = given.connectTimeoutMs;
  words[at + 9] = given.headTimeoutMs;
  words[at + 10] = given.idleTimeoutMs;
  words[at + 11] = given.exchangeTimeoutMs;
  memory.floats[(at + 12) >>> 1] = given.maxBodyBytes;
  words[at + 14] = given.attemptTimeoutMs;
  words[at + 15] = given.hedgeDelayMs;
  words[at + 16] = subject.memo0;
  words[at + 17] = subject.memo1;
  words[at + 18] = subject.memo2;
  words[at + 19] = given.valueCount;
  words[at + 20] = given.replayBytes;
  words[at + 21] = given.placeTimeoutMs;
  words[at + 22] = given.clientLow;
  words[at + 23] = given.clientHigh;
}

/** The exchange is answered from here. */
export function writeRespond(
  memory: RecordMemory,
  at: number,
  subject: SubjectWords,
  status: number,
  reason: number,
  fieldCount: number,
  bodyLength: number,
  plan: number,
): void {
  const words = memory.words;
  words[at + 2] = subject.exchangeIndex;
  words[at + 3] = subject.exchangeGeneration;
  words[at + 4] = status;
  words[at + 5] = reason;
  words[at + 6] = subject.tag;
  words[at + 7] = fieldCount;
  words[at + 8] = bodyLength;
  words[at + 9] = plan;
  words[at + 10] = subject.memo0;
  words[at + 11] = subject.memo1;
  words[at + 12] = subject.memo2;
  words[at + 13] = 0;
}

/** The client's stream is reset. */
export function writeReset(
  memory: RecordMemory,
  at: number,
  exchangeIndex: number,
  exchangeGeneration: number,
  errorCode: number,
  reason: number,
): void {
  const words = memory.words;
  words[at + 2] = exchangeIndex;
  words[at + 3] = exchangeGeneration;
  words[at + 4] = errorCode;
  words[at + 5] = reason;
}

/** The exchange is to be offered again later, as the record it was offered with. */
export function writeWait(memory: RecordMemory, at: number, subject: SubjectWords, waitMs: number, reason: number): void {
  const words = memory.words;
  words[at + 2] = subject.exchangeIndex;
  words[at + 3] = subject.exchangeGeneration;
  words[at + 4] = subject.tag;
  words[at + 5] = subject.memo0;
  words[at + 6] = subject.memo1;
  words[at + 7] = subject.memo2;
  words[at + 8] = waitMs;
  words[at + 9] = reason;
}

/** An exchange that waits is offered again now, in this turn. */
export function writeWake(memory: RecordMemory, at: number, exchangeIndex: number, exchangeGeneration: number): void {
  const words = memory.words;
  words[at + 2] = exchangeIndex;
  words[at + 3] = exchangeGeneration;
}

/** The held response goes to the client. */
export function writeCommit(memory: RecordMemory, at: number, subject: SubjectWords, reason: number): void {
  const words = memory.words;
  words[at + 2] = subject.exchangeIndex;
  words[at + 3] = subject.exchangeGeneration;
  words[at + 4] = subject.tag;
  words[at + 5] = subject.memo0;
  words[at + 6] = subject.memo1;
  words[at + 7] = subject.memo2;
  words[at + 8] = reason;
  words[at + 9] = 0;
}
