//! Sockets that take no more for now: the shard waits for their room, and does nothing else
//! meanwhile.

use crate::support::client::socket;
use crate::support::network::Slow;
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::Id;
use lychgate_core::reactor::listener::settings::Congestion;

#[test]
fn a_full_socket_is_waited_for_without_a_turn_and_everything_arrives() {
    let Some(_network) = Slow::new(20) else { return };
    let mut bed = Bed::with(Setup { send_buffer: 0, congestion: Congestion::Cubic, is_paced: false, ..Setup::default() });
    let client = bed.connect_from(Kind::Http3, socket(), 1 << 20);
    let before = bed.shard().count(Id::Turns);
    let stream = bed.clients[client].get("/bytes/1000000");
    assert!(bed.finish(client, stream).body == patterned(1_000_000));
    let turns = bed.shard().count(Id::Turns) - before;
    // Some 750 packets, half as many acknowledgements, a message each time the socket has room.
    assert!(turns < 1_500, "{turns} turns");
    assert!(bed.shard().count(Id::SendBufferFull) > 0);
}

#[test]
fn datagrams_that_found_the_receive_buffer_full_are_counted() {
    let mut bed = Bed::with(Setup { receive_buffer: 100_000, ..Setup::default() });
    let (sender, address) = (socket(), bed.address);
    let flood = |count: u64| (0..count).for_each(|_| assert_eq!(sender.send_to(&[0; 1_000], address).unwrap(), 1_000));
    flood(1_000);
    bed.until("the buffer to be empty", |bed| bed.shard().count(Id::DatagramsReceived) > 0);
    bed.rest(std::time::Duration::from_millis(20));
    let received = bed.shard().count(Id::DatagramsReceived);
    assert!(received < 1_000, "the buffer was to be full");
    // The kernel tells with the next one that it takes.
    flood(1);
    bed.until("one more", |bed| bed.shard().count(Id::DatagramsReceived) == received + 1);
    assert_eq!(bed.shard().count(Id::ReceiveOverflows), 1_000 - received);
    flood(1_000);
    bed.rest(std::time::Duration::from_millis(20));
    flood(1);
    bed.rest(std::time::Duration::from_millis(20));
    assert_eq!(bed.shard().count(Id::ReceiveOverflows) + bed.shard().count(Id::DatagramsReceived), 2_002);
}
