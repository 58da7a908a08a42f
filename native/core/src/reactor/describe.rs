//! Descriptions of a reactor for the admin API.

use super::parts::Reactor;
use crate::downstream::connection::Drain;

impl Reactor {
    /// Connections as JSON, at most `limit`, for the admin API.
    pub fn describe_connections(&self, limit: usize) -> String {
        let now = self.relay.turn.now;
        let rows: Vec<String> = self
            .relay
            .connections
            .iter()
            .take(limit)
            .map(|(_, connection)| {
                let stats = connection.protocol.stats();
                format!(
                    concat!(
                        "{{\"connection\":{},\"shard\":{},\"listener\":{},\"peer\":\"{}\",\"age_seconds\":{:.3},\"rtt_seconds\":{:.6},",
                        "\"exchanges\":{},\"packets_received\":{},\"packets_sent\":{},\"packets_lost\":{},\"bytes_received\":{},",
                        "\"bytes_sent\":{},\"is_established\":{},\"is_draining\":{},\"client_connections\":{},\"client_certificate\":{}}}"
                    ),
                    connection.accepted.number,
                    self.switchboard.shard,
                    connection.accepted.listener,
                    connection.peer,
                    now.saturating_sub(connection.accepted.at) as f64 / 1e9,
                    connection.protocol.rtt_us() as f64 / 1e6,
                    connection.exchanges.len(),
                    stats.packets.0,
                    stats.packets.1,
                    stats.packets.2,
                    stats.bytes.0,
                    stats.bytes.1,
                    connection.is_open,
                    connection.end.drain != Drain::No,
                    connection.place.shared_by().map_or("null".to_owned(), |count| count.to_string()),
                    connection.tls.told.as_ref().map_or("null".to_owned(), |told| told.describe()),
                )
            })
            .collect();
        format!("[{}]", rows.join(","))
    }

    /// Age of the oldest open exchange in milliseconds; none if there is none.
    pub fn oldest_exchange_ms(&self) -> Option<f64> {
        let began = self.relay.exchanges.iter().map(|(_, exchange)| exchange.times.began).min()?;
        Some(self.relay.turn.clock.now().saturating_sub(began) as f64 / 1e6)
    }

    /// Sessions as JSON, for the admin API.
    pub fn describe_sessions(&self) -> String {
        self.upstreams.describe(self.relay.turn.now)
    }
}
