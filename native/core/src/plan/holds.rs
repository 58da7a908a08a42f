//! The responses that are held for the lane: sets of statuses, one bit each.

/// HTTP statuses have three digits.
const STATUSES: usize = 1_000;
/// gRPC defines 0 to 16; a word leaves room for more.
const GRPC_STATUSES: u32 = 32;

/// A set of HTTP statuses and one of gRPC statuses.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    statuses: [u64; STATUSES.div_ceil(64)],
    grpc: u32,
}

impl Holds {
    /// Builds the sets. The error is a sentence.
    pub fn new(statuses: &[u32], grpc: &[u32]) -> Result<Holds, String> {
        let mut holds = Holds::default();
        for &status in statuses {
            if !(100..STATUSES as u32).contains(&status) {
                return Err(format!("{status} is no status"));
            }
            holds.statuses[status as usize / 64] |= 1 << (status % 64);
        }
        for &status in grpc {
            if status >= GRPC_STATUSES {
                return Err(format!("{status} is no gRPC status"));
            }
            holds.grpc |= 1 << status;
        }
        Ok(holds)
    }

    /// Whether an HTTP status is in the set.
    #[inline]
    pub fn status(&self, status: u16) -> bool {
        self.statuses.get(status as usize / 64).is_some_and(|word| word >> (status % 64) & 1 == 1)
    }

    /// Whether a gRPC status is in the set.
    #[inline]
    pub fn grpc(&self, status: u32) -> bool {
        status < GRPC_STATUSES && self.grpc >> status & 1 == 1
    }

    /// Whether there is any gRPC status in the set, so that a response has to be searched for one.
    #[inline]
    pub fn has_grpc(&self) -> bool {
        self.grpc != 0
    }
}
