//! Sockets that take no more for now: the shard waits for their room, and does nothing else meanwhile.

use crate::support::client::socket;
use crate::support::network::Slow;
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::Id;

#[test]
fn a_full_socket_is_waited_for_without_a_turn_and_everything_arrives() {
    let Some(_network) = Slow::new(20) else { return };
    let mut bed = Bed::with(Setup { send_buffer: 0, ..Setup::default() });
    let client = bed.connect_from(Kind::Http3, socket(), 1 << 20);
    let before = bed.shard().count(Id::Turns);
    let stream = bed.clients[client].get("/bytes/1000000");
    assert!(bed.finish(client, stream).body == patterned(1_000_000));
    let turns = bed.shard().count(Id::Turns) - before;
    // Some 750 packets, half as many acknowledgements, a message each time the socket has room.
    assert!(turns < 1_500, "{turns} turns");
}
