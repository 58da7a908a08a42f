//! Hand-over between shards: a packet that the kernel gave to the wrong socket goes to the shard
//! that its connection ID names.
//!
//! This is rare if the kernel steers; otherwise a changed address can bring every packet of a
//! connection to the wrong socket. It is bounded: a shard that falls behind loses packets, as with
//! a full socket buffer, and QUIC retransmits them.

use crate::base::poll::Wake;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Largest number of packets that wait for one shard.
const CAPACITY: usize = 1024;

/// A packet for another shard.
#[derive(Debug)]
pub struct Handed {
    /// Place of the socket that received it.
    pub listener: u32,
    /// Sender.
    pub from: SocketAddr,
    /// Address it was sent to.
    pub to: SocketAddr,
    /// The datagram, as it came.
    pub bytes: Box<[u8]>,
}

/// Sends to one shard.
#[derive(Clone)]
pub struct Port {
    sender: SyncSender<Handed>,
    wake: Arc<Wake>,
    are_places_wanted: Arc<AtomicBool>,
}

impl Port {
    /// Tells the shard that others wait for connections to a backend, of which it may have idle
    /// ones.
    pub fn ask_for_places(&self) {
        if !self.are_places_wanted.swap(true, AcqRel) {
            self.wake.wake();
        }
    }

    /// Hands a packet over. Returns false if the shard's queue is full.
    pub fn hand_over(&self, packet: Handed) -> bool {
        let is_taken = self.sender.try_send(packet).is_ok();
        if is_taken {
            self.wake.wake();
        }
        is_taken
    }
}

/// Receives what other shards hand over.
pub struct Inbox {
    receiver: Receiver<Handed>,
    are_places_wanted: Arc<AtomicBool>,
    /// Readable when something waits.
    pub wake: Arc<Wake>,
}

impl Inbox {
    /// Whether other shards have asked for connections since the last call.
    pub fn are_places_asked_for(&self) -> bool {
        self.are_places_wanted.load(Relaxed) && self.are_places_wanted.swap(false, AcqRel)
    }

    /// The next packet, if any.
    pub fn take(&self) -> Option<Handed> {
        self.receiver.try_recv().ok()
    }
}

/// Connects one shard with the others.
pub(super) struct Switchboard {
    /// Its number.
    pub shard: u8,
    /// Ports to all shards, by number.
    pub ports: Vec<Port>,
    /// Receives what other shards hand over.
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
