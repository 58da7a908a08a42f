//! Counters and gauges of a reactor's upstream sessions; one writer.

use std::fmt;
use std::ops::{Index, IndexMut};

use crate::base::reason::OF_TLS;

/// Names a counter or a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Gauge: sessions that take or carry streams.
    SessionsOpen,
    /// Gauge: sessions being connected.
    SessionsConnecting,
    /// Gauge: sessions bound to one client.
    SessionsBound,
    /// Gauge: streams open on all sessions.
    StreamsOpen,
    /// Gauge: bytes that backends may still send within the windows of streams and sessions.
    GrantedBytes,
    /// Gauge: bytes queued for backends.
    QueuedBytes,
    /// Gauge: attempts in queues.
    Waiting,
    /// Sessions that became usable.
    ConnectsSucceeded,
    /// Connects refused by the kernel or the peer.
    ConnectsFailed,
    /// Connects that took too long.
    ConnectsTimedOut,
    /// TLS handshakes that failed.
    ConnectsTlsFailed,
    /// Connects for which the process had no file descriptor left.
    ConnectsWithoutDescriptor,
    /// Sessions that became bound to one client.
    Bound,
    /// Bound sessions closed because their client had too many.
    BoundInExcess,
    /// Bound sessions closed for others who waited.
    BoundGivenUp,
    /// HTTP/2 response heads from which connection-based challenges were removed.
    ChallengesRemoved,
    /// Attempts started on a session that had carried one before.
    SessionsReused,
    /// Sessions replaced because their backend reset stream after stream.
    SessionsRenewed,
    /// Attempts started.
    StreamsStarted,
    /// Bytes read from sockets; with TLS, after decryption.
    BytesIn,
    /// Bytes written to sockets; with TLS, before encryption.
    BytesOut,
    /// GOAWAY frames received.
    GoawaysIn,
    /// RST_STREAM frames received for open streams.
    ResetsIn,
    /// RST_STREAM frames sent.
    ResetsOut,
    /// Sessions ended because the backend broke the protocol.
    ProtocolErrors,
    /// Sessions that did not answer a PING in time.
    PingsTimedOut,
}

const COUNT: usize = Stat::PingsTimedOut as usize + 1;

/// Gauges come first.
const GAUGES: usize = Stat::Waiting as usize + 1;

/// The values, indexed by [`Stat`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    values: [u64; COUNT],
    /// [`Stat::ConnectsTlsFailed`] by cause, in the order of [`OF_TLS`].
    pub tls_failures: [u64; OF_TLS.len()],
}

impl Stats {
    /// Sets every gauge to 0; counters stay.
    pub fn clear_gauges(&mut self) {
        self.values[..GAUGES].fill(0);
    }
}

impl Index<Stat> for Stats {
    type Output = u64;

    fn index(&self, stat: Stat) -> &u64 {
        &self.values[stat as usize]
    }
}

impl IndexMut<Stat> for Stats {
    fn index_mut(&mut self, stat: Stat) -> &mut u64 {
        &mut self.values[stat as usize]
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open {}, connecting {}", self[Stat::SessionsOpen], self[Stat::SessionsConnecting])?;
        write!(f, ", streams {}, waiting {}", self[Stat::StreamsOpen], self[Stat::Waiting])?;
        write!(f, ", all {:?}, TLS {:?}", self.values, self.tls_failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_cleared_and_counters_kept() {
        let mut stats = Stats::default();
        for stat in [Stat::SessionsOpen, Stat::Waiting, Stat::ConnectsSucceeded, Stat::PingsTimedOut] {
            stats[stat] = 1;
        }
        stats.clear_gauges();
        assert_eq!((stats[Stat::SessionsOpen], stats[Stat::Waiting]), (0, 0));
        assert_eq!((stats[Stat::ConnectsSucceeded], stats[Stat::PingsTimedOut]), (1, 1));
    }
}
