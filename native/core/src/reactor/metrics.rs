//! Metrics of a turn.

use super::parts::Reactor;
use crate::base::counters::Id;
use crate::base::timers::Nanos;
use crate::upstream::Stat;

pub fn count_turn(reactor: &mut Reactor, took: Nanos) {
    let counters = &reactor.counters;
    counters.add(Id::Turns, 1);
    counters.observe(Id::TurnDuration, took / 1_000);
    if reactor.arrivals.datagrams > 0 {
        counters.observe(Id::TurnDatagrams, reactor.arrivals.datagrams);
    }
    let sent = reactor.listeners.sent();
    counters.set(Id::SendCalls, 0, sent.calls);
    counters.set(Id::DatagramsSent, 0, sent.datagrams);
    counters.set(Id::SentBytes, 0, sent.bytes);
    counters.set(Id::SendErrors, 0, sent.errors);
    counters.set(Id::GsoFallbacks, 0, sent.gso_fallbacks);
    let stats = &reactor.upstreams.stats;
    for (cause, count) in stats.tls_failures.iter().enumerate() {
        counters.set(Id::TlsFailures, cause, *count);
    }
    let pairs = [
        (Id::SessionsOpen, 0, stats[Stat::SessionsOpen]),
        (Id::SessionsConnecting, 0, stats[Stat::SessionsConnecting]),
        (Id::StreamsOpen, 0, stats[Stat::StreamsOpen]),
        (Id::StreamsWaiting, 0, stats[Stat::Waiting]),
        (Id::Connects, 0, stats[Stat::ConnectsSucceeded]),
        (Id::Connects, 1, stats[Stat::ConnectsFailed]),
        (Id::Connects, 2, stats[Stat::ConnectsTimedOut]),
        (Id::Connects, 3, stats[Stat::ConnectsTlsFailed]),
        (Id::Connects, 4, stats[Stat::ConnectsWithoutDescriptor]),
        (Id::StreamsStarted, 0, stats[Stat::StreamsStarted]),
        (Id::SessionsReused, 0, stats[Stat::SessionsReused]),
        (Id::UpstreamBytesIn, 0, stats[Stat::BytesIn]),
        (Id::UpstreamBytesOut, 0, stats[Stat::BytesOut]),
        (Id::Goaways, 0, stats[Stat::GoawaysIn]),
        (Id::UpstreamResets, 0, stats[Stat::ResetsIn]),
        (Id::UpstreamResets, 1, stats[Stat::ResetsOut]),
        (Id::UpstreamProtocolErrors, 0, stats[Stat::ProtocolErrors]),
        (Id::UpstreamPingTimeouts, 0, stats[Stat::PingsTimedOut]),
        (Id::SessionsRenewed, 0, stats[Stat::SessionsRenewed]),
        (Id::SessionsBound, 0, stats[Stat::SessionsBound]),
        (Id::ConnectionAuth, 0, stats[Stat::Bound]),
        (Id::ConnectionAuth, 1, stats[Stat::BoundInExcess]),
        (Id::ConnectionAuth, 2, stats[Stat::BoundGivenUp]),
        (Id::ConnectionAuth, 3, stats[Stat::ChallengesRemoved]),
    ];
    pairs.into_iter().for_each(|(id, series, value)| counters.set(id, series, value));
}
