//! Hand-over between shards: a packet that the kernel gave to the wrong socket goes to the shard its connection ID names.
//!
//! Rare where the kernel steers, every second packet after a change of address where it does not. Bounded: a shard that does not keep up loses packets, as
//! a full socket buffer would, and QUIC sends them again.

use crate::base::poll::Wake;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Packets that wait for one shard at most.
const CAPACITY: usize = 1024;

/// A packet for another shard.
#[derive(Debug)]
pub struct Handed {
    /// Place of the socket that took it.
    pub listener: u32,
    /// Sender.
    pub from: SocketAddr,
    /// Address it was sent to.
    pub to: SocketAddr,
    /// The datagram, as it came.
    pub bytes: Box<[u8]>,
}

/// The way to one shard.
#[derive(Clone)]
pub struct Port {
    sender: SyncSender<Handed>,
    wake: Arc<Wake>,
    are_places_wanted: Arc<AtomicBool>,
}

impl Port {
    /// Tells the shard that others wait for connections to a backend which it may have idle.
    pub fn ask_for_places(&self) {
        if !self.are_places_wanted.swap(true, AcqRel) {
            self.wake.wake();
        }
    }

    /// Hands a packet over; false when the shard has too many waiting.
    pub fn hand_over(&self, packet: Handed) -> bool {
        let is_taken = self.sender.try_send(packet).is_ok();
        if is_taken {
            self.wake.wake();
        }
        is_taken
    }
}

/// Where one shard finds what others hand to it.
pub struct Inbox {
    receiver: Receiver<Handed>,
    are_places_wanted: Arc<AtomicBool>,
    /// Readable when something waits.
    pub wake: Arc<Wake>,
}

impl Inbox {
    /// Whether others have asked for connections since the last time.
    pub fn are_places_asked_for(&self) -> bool {
        self.are_places_wanted.load(Relaxed) && self.are_places_wanted.swap(false, AcqRel)
    }

    /// The next packet, if any.
    pub fn take(&self) -> Option<Handed> {
        self.receiver.try_recv().ok()
    }
}

/// The ways between one shard and the others.
pub(super) struct Switchboard {
    /// Its number.
    pub shard: u8,
    /// Ways to all shards, by number.
    pub ports: Vec<Port>,
    /// What others hand to it.
    pub inbox: Inbox,
}

impl Switchboard {
    /// Asks the other shards for connections to backends that they have idle.
    pub fn ask_for_places(&self) {
        let others = self.ports.iter().enumerate().filter(|(shard, _)| *shard != usize::from(self.shard));
        others.for_each(|(_, port)| port.ask_for_places());
    }

    /// Has this shard come back at once, after who shares its thread had his turn.
    pub fn wake(&self) {
        self.inbox.wake.wake();
    }
}

/// The ports and inboxes of a number of shards.
pub fn connect(shards: usize) -> io::Result<(Vec<Port>, Vec<Inbox>)> {
    let mut ports = Vec::new();
    let mut inboxes = Vec::new();
    for _ in 0..shards {
        let (sender, receiver) = sync_channel(CAPACITY);
        let wake = Arc::new(Wake::new()?);
        let wanted = Arc::new(AtomicBool::new(false));
        ports.push(Port { sender, wake: wake.clone(), are_places_wanted: wanted.clone() });
        inboxes.push(Inbox { receiver, are_places_wanted: wanted, wake });
    }
    Ok((ports, inboxes))
}
