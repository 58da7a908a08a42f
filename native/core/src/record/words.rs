// Made by `npm run records` from native/core/src/record/records.yaml, not by hand.
//! The words of each record before its table and text, by name. Sizes and kinds come with them.

use super::layout;
use crate::base::slab::Key;

/// A record's kind. None where there is no room for one.
pub fn kind_of(record: &[u8]) -> Option<u32> {
    record.as_chunks::<4>().0.get(1).map(|word| u32::from_le_bytes(*word))
}

/// Two numbers of 16 bits in one word.
pub(super) fn pair(low: u16, high: u16) -> [u8; 4] {
    (u32::from(low) | u32::from(high) << 16).to_le_bytes()
}

fn low(word: [u8; 4]) -> u16 {
    u16::from_le_bytes([word[0], word[1]])
}

fn high(word: [u8; 4]) -> u16 {
    u16::from_le_bytes([word[2], word[3]])
}

/// Two words of one number, the low one first.
fn halves(number: u64) -> [[u8; 4]; 2] {
    [(number as u32).to_le_bytes(), ((number >> 32) as u32).to_le_bytes()]
}

fn whole(low: [u8; 4], high: [u8; 4]) -> u64 {
    u64::from(u32::from_le_bytes(low)) | u64::from(u32::from_le_bytes(high)) << 32
}

/// Words of a `Head`. A request that has to be decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// Number of the listener.
    pub listener: u32,
    /// Flags.
    pub flags: u32,
    /// Peer: family (4 or 6), port. This is the first.
    pub peer_family: u16,
    /// Peer: family (4 or 6), port. This is the second.
    pub peer_port: u16,
    /// Address of the peer.
    pub peer_address: [u8; 16],
    /// TLS: cipher suite, key-exchange group. This is the first.
    pub cipher_suite: u16,
    /// TLS: cipher suite, key-exchange group. This is the second.
    pub key_group: u16,
    /// Number of the connection (unique in the process).
    pub connection: f64,
    /// Content length, -1 when not known.
    pub content_length: f64,
    /// Lengths: of the method, of the scheme. This is the first.
    pub method_length: u16,
    /// Lengths: of the method, of the scheme. This is the second.
    pub scheme_length: u16,
    /// Lengths: of the authority (the Host field's where there is no `:authority`), of the path
    /// with query. This is the first.
    pub authority_length: u16,
    /// Lengths: of the authority (the Host field's where there is no `:authority`), of the path
    /// with query. This is the second.
    pub path_length: u16,
    /// Number of regular fields.
    pub field_count: u32,
    /// Length of the request id that the reactor minted (32 hex digits).
    pub request_id_length: u32,
    /// Route tag as given with Wait, 0xffffffff at first.
    pub tag: u32,
    /// Memo as given with Wait, 0 at first.
    pub memo: [u32; 3],
    /// Μs since the head was decoded, 0 at first.
    pub age_us: u32,
    /// Length of what the client's certificate says, 0 where the client has none and where no rule
    /// of the snapshot asks.
    pub certificate_length: u32,
}

impl HeadWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 26;
    /// Bytes of them.
    pub const BYTES: usize = 104;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_HEAD.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.listener.to_le_bytes();
        words[5] = self.flags.to_le_bytes();
        words[6] = pair(self.peer_family, self.peer_port);
        words[7..11].as_flattened_mut().copy_from_slice(&self.peer_address);
        words[11] = pair(self.cipher_suite, self.key_group);
        [words[12], words[13]] = halves(self.connection.to_bits());
        [words[14], words[15]] = halves(self.content_length.to_bits());
        words[16] = pair(self.method_length, self.scheme_length);
        words[17] = pair(self.authority_length, self.path_length);
        words[18] = self.field_count.to_le_bytes();
        words[19] = self.request_id_length.to_le_bytes();
        words[20] = self.tag.to_le_bytes();
        [words[21], words[22], words[23]] = self.memo.map(u32::to_le_bytes);
        words[24] = self.age_us.to_le_bytes();
        words[25] = self.certificate_length.to_le_bytes();
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(HeadWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = HeadWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            listener: u32::from_le_bytes(words[4]),
            flags: u32::from_le_bytes(words[5]),
            peer_family: low(words[6]),
            peer_port: high(words[6]),
            peer_address: words[7..11].as_flattened().try_into().unwrap_or_default(),
            cipher_suite: low(words[11]),
            key_group: high(words[11]),
            connection: f64::from_bits(whole(words[12], words[13])),
            content_length: f64::from_bits(whole(words[14], words[15])),
            method_length: low(words[16]),
            scheme_length: high(words[16]),
            authority_length: low(words[17]),
            path_length: high(words[17]),
            field_count: u32::from_le_bytes(words[18]),
            request_id_length: u32::from_le_bytes(words[19]),
            tag: u32::from_le_bytes(words[20]),
            memo: [words[21], words[22], words[23]].map(u32::from_le_bytes),
            age_us: u32::from_le_bytes(words[24]),
            certificate_length: u32::from_le_bytes(words[25]),
        };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `AttemptFailed`. An attempt that ended before anything was committed to the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttemptFailedWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// Attempts made so far (1 = the first failed).
    pub attempts: u32,
    /// Backend slot of the attempt.
    pub slot: u32,
    /// Route tag, as the lane gave it in Forward.
    pub tag: u32,
    /// Reason number.
    pub reason: u32,
    /// Flags.
    pub flags: u32,
    /// Μs since the decision.
    pub duration_us: u32,
    /// Number of the connection.
    pub connection: f64,
    /// Plan, as given.
    pub plan: u32,
    /// Length of the request id.
    pub request_id_length: u32,
    /// Memo.
    pub memo: [u32; 3],
    /// Status of the response that is held, or was (`HELD`, `WAITED`); 0 when there was none.
    pub status: u32,
    /// Its gRPC status, 0xffffffff when it has none.
    pub grpc_status: u32,
    /// Its Retry-After in seconds, 0xffffffff when it has none (or one that is no number).
    pub retry_after_s: u32,
    /// Μs since the head was decoded.
    pub age_us: u32,
}

impl AttemptFailedWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 22;
    /// Bytes of them.
    pub const BYTES: usize = 88;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_ATTEMPT_FAILED.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.attempts.to_le_bytes();
        words[5] = self.slot.to_le_bytes();
        words[6] = self.tag.to_le_bytes();
        words[7] = self.reason.to_le_bytes();
        words[8] = self.flags.to_le_bytes();
        words[9] = self.duration_us.to_le_bytes();
        [words[10], words[11]] = halves(self.connection.to_bits());
        words[12] = self.plan.to_le_bytes();
        words[13] = self.request_id_length.to_le_bytes();
        [words[14], words[15], words[16]] = self.memo.map(u32::to_le_bytes);
        words[17] = self.status.to_le_bytes();
        words[18] = self.grpc_status.to_le_bytes();
        words[19] = self.retry_after_s.to_le_bytes();
        words[20] = self.age_us.to_le_bytes();
        words[21] = [0; 4];
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(AttemptFailedWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = AttemptFailedWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            attempts: u32::from_le_bytes(words[4]),
            slot: u32::from_le_bytes(words[5]),
            tag: u32::from_le_bytes(words[6]),
            reason: u32::from_le_bytes(words[7]),
            flags: u32::from_le_bytes(words[8]),
            duration_us: u32::from_le_bytes(words[9]),
            connection: f64::from_bits(whole(words[10], words[11])),
            plan: u32::from_le_bytes(words[12]),
            request_id_length: u32::from_le_bytes(words[13]),
            memo: [words[14], words[15], words[16]].map(u32::from_le_bytes),
            status: u32::from_le_bytes(words[17]),
            grpc_status: u32::from_le_bytes(words[18]),
            retry_after_s: u32::from_le_bytes(words[19]),
            age_us: u32::from_le_bytes(words[20]),
        };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `Completion`. How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompletionWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// Route tag of the last Forward or Respond; 0xffffffff when none was given, so always where
    /// there was no offer.
    pub tag: u32,
    /// Backend slot of the last attempt, 0xffffffff when none.
    pub slot: u32,
    /// Attempts made.
    pub attempts: u32,
    /// Status sent to the client (0 when none was).
    pub status: u32,
    /// Reason number, 0 when nothing is to be said.
    pub reason: u32,
    /// Flags.
    pub flags: u32,
    /// Number of the listener.
    pub listener: u32,
    /// Peer: family, port; as in Head. This is the first.
    pub peer_family: u16,
    /// Peer: family, port; as in Head. This is the second.
    pub peer_port: u16,
    /// Address of the peer; zero, like word 28, when the head never came.
    pub peer_address: [u8; 16],
    /// Μs from head decoded to the last decision; earlier attempts are in it.
    pub decide_us: u32,
    /// Μs from the last decision to stream opened (connect and waiting).
    pub open_us: u32,
    /// Μs from opened to request sent (head and body).
    pub send_us: u32,
    /// Μs from opened to response head, of the last attempt.
    pub await_us: u32,
    /// Μs from head decoded to end; from the stream's first byte when the head never came.
    pub total_us: u32,
    /// Smoothed RTT of the connection in microseconds.
    pub rtt_us: u32,
    /// Body bytes received from the client.
    pub bytes_in: f64,
    /// Body bytes sent to the client.
    pub bytes_out: f64,
    /// Number of the connection.
    pub connection: f64,
    /// Wall clock at head decoded, ms since the epoch.
    pub started_ms: f64,
    /// Lengths: of the request id, of the method. This is the first.
    pub request_id_length: u16,
    /// Lengths: of the request id, of the method. This is the second.
    pub method_length: u16,
    /// Lengths: of the authority, of the path (cut at 2,048). This is the first.
    pub authority_length: u16,
    /// Lengths: of the authority, of the path (cut at 2,048). This is the second.
    pub path_length: u16,
    /// Length of the user-agent (cut at 256).
    pub user_agent_length: u32,
    /// Response status of the backend, 0 when none came.
    pub backend_status: u32,
    /// Memo.
    pub memo: [u32; 3],
    /// GRPC status of the response, from its trailers or its head; 0xffffffff when it has none.
    pub grpc_status: u32,
    /// Retry-After of the response in seconds when its status is 429 or 503; 0xffffffff otherwise.
    pub retry_after_s: u32,
    /// Backend slot of the attempt that lost against the one that answered, or still ran beside
    /// another when the exchange ended without an answer; 0xffffffff when there was none.
    pub loser_slot: u32,
    /// Μs from the decision of the losing attempt to its end.
    pub loser_us: u32,
    /// Length of what access lines say of the certificate, 0 where there is none and without
    /// `log.access.client_certificates`.
    pub certificate_length: u32,
}

impl CompletionWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 42;
    /// Bytes of them.
    pub const BYTES: usize = 168;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_COMPLETION.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.tag.to_le_bytes();
        words[5] = self.slot.to_le_bytes();
        words[6] = self.attempts.to_le_bytes();
        words[7] = self.status.to_le_bytes();
        words[8] = self.reason.to_le_bytes();
        words[9] = self.flags.to_le_bytes();
        words[10] = self.listener.to_le_bytes();
        words[11] = pair(self.peer_family, self.peer_port);
        words[12..16].as_flattened_mut().copy_from_slice(&self.peer_address);
        words[16] = self.decide_us.to_le_bytes();
        words[17] = self.open_us.to_le_bytes();
        words[18] = self.send_us.to_le_bytes();
        words[19] = self.await_us.to_le_bytes();
        words[20] = self.total_us.to_le_bytes();
        words[21] = self.rtt_us.to_le_bytes();
        [words[22], words[23]] = halves(self.bytes_in.to_bits());
        [words[24], words[25]] = halves(self.bytes_out.to_bits());
        [words[26], words[27]] = halves(self.connection.to_bits());
        [words[28], words[29]] = halves(self.started_ms.to_bits());
        words[30] = pair(self.request_id_length, self.method_length);
        words[31] = pair(self.authority_length, self.path_length);
        words[32] = self.user_agent_length.to_le_bytes();
        words[33] = self.backend_status.to_le_bytes();
        [words[34], words[35], words[36]] = self.memo.map(u32::to_le_bytes);
        words[37] = self.grpc_status.to_le_bytes();
        words[38] = self.retry_after_s.to_le_bytes();
        words[39] = self.loser_slot.to_le_bytes();
        words[40] = self.loser_us.to_le_bytes();
        words[41] = self.certificate_length.to_le_bytes();
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(CompletionWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = CompletionWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            tag: u32::from_le_bytes(words[4]),
            slot: u32::from_le_bytes(words[5]),
            attempts: u32::from_le_bytes(words[6]),
            status: u32::from_le_bytes(words[7]),
            reason: u32::from_le_bytes(words[8]),
            flags: u32::from_le_bytes(words[9]),
            listener: u32::from_le_bytes(words[10]),
            peer_family: low(words[11]),
            peer_port: high(words[11]),
            peer_address: words[12..16].as_flattened().try_into().unwrap_or_default(),
            decide_us: u32::from_le_bytes(words[16]),
            open_us: u32::from_le_bytes(words[17]),
            send_us: u32::from_le_bytes(words[18]),
            await_us: u32::from_le_bytes(words[19]),
            total_us: u32::from_le_bytes(words[20]),
            rtt_us: u32::from_le_bytes(words[21]),
            bytes_in: f64::from_bits(whole(words[22], words[23])),
            bytes_out: f64::from_bits(whole(words[24], words[25])),
            connection: f64::from_bits(whole(words[26], words[27])),
            started_ms: f64::from_bits(whole(words[28], words[29])),
            request_id_length: low(words[30]),
            method_length: high(words[30]),
            authority_length: low(words[31]),
            path_length: high(words[31]),
            user_agent_length: u32::from_le_bytes(words[32]),
            backend_status: u32::from_le_bytes(words[33]),
            memo: [words[34], words[35], words[36]].map(u32::from_le_bytes),
            grpc_status: u32::from_le_bytes(words[37]),
            retry_after_s: u32::from_le_bytes(words[38]),
            loser_slot: u32::from_le_bytes(words[39]),
            loser_us: u32::from_le_bytes(words[40]),
            certificate_length: u32::from_le_bytes(words[41]),
        };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `Late`. The hedge delay of a Forward passed, and no response head is here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LateWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// Attempts made so far.
    pub attempts: u32,
    /// Backend slot of the running attempt.
    pub slot: u32,
    /// Route tag.
    pub tag: u32,
    /// Memo.
    pub memo: [u32; 3],
    /// Μs since the decision of the running attempt.
    pub duration_us: u32,
    /// Μs since the head was decoded.
    pub age_us: u32,
    /// Plan, as given.
    pub plan: u32,
}

impl LateWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 14;
    /// Bytes of them.
    pub const BYTES: usize = 56;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_LATE.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.attempts.to_le_bytes();
        words[5] = self.slot.to_le_bytes();
        words[6] = self.tag.to_le_bytes();
        [words[7], words[8], words[9]] = self.memo.map(u32::to_le_bytes);
        words[10] = self.duration_us.to_le_bytes();
        words[11] = self.age_us.to_le_bytes();
        words[12] = self.plan.to_le_bytes();
        words[13] = [0; 4];
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(LateWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = LateWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            attempts: u32::from_le_bytes(words[4]),
            slot: u32::from_le_bytes(words[5]),
            tag: u32::from_le_bytes(words[6]),
            memo: [words[7], words[8], words[9]].map(u32::from_le_bytes),
            duration_us: u32::from_le_bytes(words[10]),
            age_us: u32::from_le_bytes(words[11]),
            plan: u32::from_le_bytes(words[12]),
        };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `Forward`. The exchange goes to a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForwardWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// Plan of the present snapshot; the exchange keeps it when a new one comes.
    pub plan: u32,
    /// Backend slot.
    pub slot: u32,
    /// Route tag (comes back unread).
    pub tag: u32,
    /// Flags.
    pub flags: u32,
    /// Connect timeout, ms (while a session is on its way).
    pub connect_timeout_ms: u32,
    /// Response head timeout, ms (from request sent).
    pub head_timeout_ms: u32,
    /// Idle timeout, ms (no byte either way while the body lasts).
    pub idle_timeout_ms: u32,
    /// Whole-exchange timeout, ms, 0 = none; 0xffffffff = as an earlier Forward of the exchange
    /// said.
    pub exchange_timeout_ms: u32,
    /// Greatest request body in bytes, -1 = no limit; a longer one gets 413 from the reactor.
    pub max_body_bytes: f64,
    /// Attempt timeout, ms (from the decision to the response head), 0 = none.
    pub attempt_timeout_ms: u32,
    /// Hedge delay, ms (from the decision; a Late record follows), 0 = none.
    pub hedge_delay_ms: u32,
    /// Memo.
    pub memo: [u32; 3],
    /// Number of values that the plan's edits name (`${value_0}` …), at most 4.
    pub value_count: u32,
    /// Bytes of the request body that are kept for another attempt.
    pub replay_bytes: u32,
    /// Place timeout, ms (while the backend's pool is full).
    pub place_timeout_ms: u32,
    /// Network of the client that a trusted proxy named: an IPv4 address and 0xffff, or the first
    /// 64 bits of an IPv6 address (0 counts as 1); 0 = as an earlier Forward said, at first the
    /// peer's.
    pub client: u64,
}

impl ForwardWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 24;
    /// Bytes of them.
    pub const BYTES: usize = 96;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_FORWARD.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.plan.to_le_bytes();
        words[5] = self.slot.to_le_bytes();
        words[6] = self.tag.to_le_bytes();
        words[7] = self.flags.to_le_bytes();
        words[8] = self.connect_timeout_ms.to_le_bytes();
        words[9] = self.head_timeout_ms.to_le_bytes();
        words[10] = self.idle_timeout_ms.to_le_bytes();
        words[11] = self.exchange_timeout_ms.to_le_bytes();
        [words[12], words[13]] = halves(self.max_body_bytes.to_bits());
        words[14] = self.attempt_timeout_ms.to_le_bytes();
        words[15] = self.hedge_delay_ms.to_le_bytes();
        [words[16], words[17], words[18]] = self.memo.map(u32::to_le_bytes);
        words[19] = self.value_count.to_le_bytes();
        words[20] = self.replay_bytes.to_le_bytes();
        words[21] = self.place_timeout_ms.to_le_bytes();
        [words[22], words[23]] = halves(self.client);
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(ForwardWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = ForwardWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            plan: u32::from_le_bytes(words[4]),
            slot: u32::from_le_bytes(words[5]),
            tag: u32::from_le_bytes(words[6]),
            flags: u32::from_le_bytes(words[7]),
            connect_timeout_ms: u32::from_le_bytes(words[8]),
            head_timeout_ms: u32::from_le_bytes(words[9]),
            idle_timeout_ms: u32::from_le_bytes(words[10]),
            exchange_timeout_ms: u32::from_le_bytes(words[11]),
            max_body_bytes: f64::from_bits(whole(words[12], words[13])),
            attempt_timeout_ms: u32::from_le_bytes(words[14]),
            hedge_delay_ms: u32::from_le_bytes(words[15]),
            memo: [words[16], words[17], words[18]].map(u32::from_le_bytes),
            value_count: u32::from_le_bytes(words[19]),
            replay_bytes: u32::from_le_bytes(words[20]),
            place_timeout_ms: u32::from_le_bytes(words[21]),
            client: whole(words[22], words[23]),
        };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `Respond`. The exchange is answered from here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RespondWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// Status.
    pub status: u32,
    /// Reason number.
    pub reason: u32,
    /// Route tag.
    pub tag: u32,
    /// Number of fields.
    pub field_count: u32,
    /// Length of the body.
    pub body_length: u32,
    /// Plan whose response edits apply, 0xffffffff none.
    pub plan: u32,
    /// Memo.
    pub memo: [u32; 3],
}

impl RespondWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 14;
    /// Bytes of them.
    pub const BYTES: usize = 56;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_RESPOND.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.status.to_le_bytes();
        words[5] = self.reason.to_le_bytes();
        words[6] = self.tag.to_le_bytes();
        words[7] = self.field_count.to_le_bytes();
        words[8] = self.body_length.to_le_bytes();
        words[9] = self.plan.to_le_bytes();
        [words[10], words[11], words[12]] = self.memo.map(u32::to_le_bytes);
        words[13] = [0; 4];
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(RespondWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = RespondWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            status: u32::from_le_bytes(words[4]),
            reason: u32::from_le_bytes(words[5]),
            tag: u32::from_le_bytes(words[6]),
            field_count: u32::from_le_bytes(words[7]),
            body_length: u32::from_le_bytes(words[8]),
            plan: u32::from_le_bytes(words[9]),
            memo: [words[10], words[11], words[12]].map(u32::from_le_bytes),
        };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `Reset`. The client's stream is reset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResetWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// HTTP/3 error code (RFC 9114 §8.1).
    pub error_code: u32,
    /// Reason number.
    pub reason: u32,
}

impl ResetWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 6;
    /// Bytes of them.
    pub const BYTES: usize = 24;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_RESET.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.error_code.to_le_bytes();
        words[5] = self.reason.to_le_bytes();
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(ResetWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = ResetWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            error_code: u32::from_le_bytes(words[4]),
            reason: u32::from_le_bytes(words[5]),
        };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `Wait`. The exchange is to be offered again later, as the record it was offered with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaitWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// Route tag.
    pub tag: u32,
    /// Memo.
    pub memo: [u32; 3],
    /// Ms until it is offered again.
    pub wait_ms: u32,
    /// Reason of the answer if the exchange's own deadline passes meanwhile.
    pub reason: u32,
}

impl WaitWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 10;
    /// Bytes of them.
    pub const BYTES: usize = 40;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_WAIT.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.tag.to_le_bytes();
        [words[5], words[6], words[7]] = self.memo.map(u32::to_le_bytes);
        words[8] = self.wait_ms.to_le_bytes();
        words[9] = self.reason.to_le_bytes();
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(WaitWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = WaitWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            tag: u32::from_le_bytes(words[4]),
            memo: [words[5], words[6], words[7]].map(u32::from_le_bytes),
            wait_ms: u32::from_le_bytes(words[8]),
            reason: u32::from_le_bytes(words[9]),
        };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `Wake`. An exchange that waits is offered again now, in this turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WakeWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
}

impl WakeWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 4;
    /// Bytes of them.
    pub const BYTES: usize = 16;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_WAKE.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(WakeWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = WakeWords { exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) } };
        Some((read, rest.as_flattened()))
    }
}

/// Words of a `Commit`. The held response goes to the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CommitWords {
    /// Index and generation of the exchange.
    pub exchange: Key,
    /// Route tag.
    pub tag: u32,
    /// Memo.
    pub memo: [u32; 3],
    /// Reason for the completion (0 = none).
    pub reason: u32,
}

impl CommitWords {
    /// How many there are, the record's size and kind included.
    pub const COUNT: usize = 10;
    /// Bytes of them.
    pub const BYTES: usize = 40;

    /// Writes them into a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn write<'a>(&self, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = record.len() as u32;
        let (words, rest) = record.as_chunks_mut::<4>().0.split_first_chunk_mut::<{ Self::COUNT }>()?;
        words[0] = size.to_le_bytes();
        words[1] = layout::KIND_COMMIT.to_le_bytes();
        words[2] = self.exchange.index.to_le_bytes();
        words[3] = self.exchange.generation.to_le_bytes();
        words[4] = self.tag.to_le_bytes();
        [words[5], words[6], words[7]] = self.memo.map(u32::to_le_bytes);
        words[8] = self.reason.to_le_bytes();
        words[9] = [0; 4];
        Some(rest.as_flattened_mut())
    }

    /// Reads them from a record and gives what follows them. None where the record is shorter.
    #[inline]
    pub fn read(record: &[u8]) -> Option<(CommitWords, &[u8])> {
        let (words, rest) = record.as_chunks::<4>().0.split_first_chunk::<{ Self::COUNT }>()?;
        let read = CommitWords {
            exchange: Key { index: u32::from_le_bytes(words[2]), generation: u32::from_le_bytes(words[3]) },
            tag: u32::from_le_bytes(words[4]),
            memo: [words[5], words[6], words[7]].map(u32::from_le_bytes),
            reason: u32::from_le_bytes(words[8]),
        };
        Some((read, rest.as_flattened()))
    }
}
