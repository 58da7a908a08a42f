//! Connection IDs of a shard: whose they are, and where a datagram goes by them.

use super::cid::{self, CID_BYTES, Cid, CidKey};
use super::stateless::LongHeader;
use super::transport::Transport;
use crate::base::counters::Dropped;
use crate::base::numbers::NumberMap;
use crate::base::slab::Key;
use quiche::{ConnectionId, Header, PathEvent, Type};
use std::collections::HashMap;
use std::net::SocketAddr;

/// A client's first datagram is at least so long (RFC 9000 §14.1).
const MIN_INITIAL_BYTES: usize = 1200;

/// The connection ID that a client chooses for us is at least so long (RFC 9000 §7.2).
const MIN_INITIAL_CID_BYTES: usize = 8;

/// Shorter than any packet: header, connection ID, packet number, authentication tag.
const MIN_PACKET_BYTES: usize = 1 + CID_BYTES + 1 + 16;

/// Connection IDs a client may hold at once: one in use, two to move with.
const CONNECTION_IDS: usize = 3;

/// Where a datagram goes.
pub enum Route {
    /// To a connection.
    Connection(Key),
    /// To another shard.
    Shard(u8),
    /// It asks for a connection.
    New,
    /// Nowhere.
    Drop(Dropped),
    /// It is answered with the versions we speak.
    Negotiate,
}

/// The connection IDs of a shard.
pub struct Ids {
    key: CidKey,
    shard: u8,
    generation: u8,
    shards: usize,
    by_id: NumberMap<Key>,
    by_initial: HashMap<Vec<u8>, Key>,
}

impl Ids {
    /// IDs of one of so many shards of a process.
    pub fn new(key: CidKey, shard: u8, generation: u8, shards: usize) -> Ids {
        Ids { key, shard, generation, shards, by_id: NumberMap::default(), by_initial: HashMap::new() }
    }

    /// An ID for a new connection, and the token that goes with it.
    pub fn mint(&self) -> (Cid, u128) {
        let id = self.key.mint_free(self.shard, self.generation, |id| self.by_id.contains_key(&id));
        (id, self.key.reset_token(id))
    }

    /// Enters a connection by the ID it got and the one its client chose.
    pub fn enter(&mut self, key: Key, id: Cid, initial_id: Vec<u8>) {
        self.by_id.insert(id, key);
        self.by_initial.insert(initial_id, key);
    }

    /// Forgets a connection.
    pub fn forget(&mut self, transport: &Transport) {
        for id in &transport.ids {
            self.by_id.remove(id);
        }
        self.by_initial.remove(&transport.initial_id);
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.by_id.clear();
        self.by_initial.clear();
    }

    /// Keeps addresses and connection IDs in step with quiche; the client's addresses, as it moved.
    pub fn follow(&mut self, key: Key, transport: &mut Transport, mut moved: impl FnMut(SocketAddr)) {
        let Transport { quic, ids, .. } = transport;
        while let Some(event) = quic.path_event_next() {
            match event {
                // A packet from a new address: ask it to prove itself (RFC 9000 §8.2).
                PathEvent::New(local, peer) => drop(quic.probe_path(local, peer)),
                PathEvent::PeerMigrated(_, peer) => moved(peer),
                _ => {}
            }
        }
        while let Some(retired) = quic.retired_scid_next() {
            if let Some(id) = cid::read(&retired) {
                ids.retain(|own| *own != id);
                self.by_id.remove(&id);
            }
        }
        while quic.scids_left() > 0 && quic.active_scids() < CONNECTION_IDS {
            let (id, token) = self.mint();
            let bytes = id.to_be_bytes();
            if quic.new_scid(&ConnectionId::from_ref(&bytes), token, false).is_err() {
                break;
            }
            ids.push(id);
            self.by_id.insert(id, key);
        }
    }

    /// The ID a client chose for us in its first datagram; none where that is no such.
    pub fn initial_of(datagram: &mut [u8]) -> Option<Vec<u8>> {
        Header::from_slice(datagram, CID_BYTES).ok().map(|header| header.dcid.to_vec())
    }

    /// Where a datagram goes.
    pub fn route(&self, datagram: &mut [u8]) -> Route {
        if datagram.len() < MIN_PACKET_BYTES {
            return Route::Drop(Dropped::Short);
        }
        if datagram[0] & 0x80 == 0 {
            let Some(id) = cid::read(&datagram[1..]) else { return Route::Drop(Dropped::Short) };
            return match self.by_id.get(&id) {
                Some(key) => Route::Connection(*key),
                None => self.elsewhere(id).unwrap_or(Route::Drop(Dropped::UnknownConnection)),
            };
        }
        let length = datagram.len();
        let Some(long) = LongHeader::read(datagram) else { return Route::Drop(Dropped::Malformed) };
        if !quiche::version_is_supported(long.version) {
            // Version Negotiation answers what could be a first datagram, whatever another version
            // puts behind the IDs (RFC 9000 §6.1, RFC 8999 §6).
            return if long.version == 0 || length < MIN_INITIAL_BYTES { Route::Drop(Dropped::Malformed) } else { Route::Negotiate };
        }
        let Ok(header) = Header::from_slice(datagram, CID_BYTES) else { return Route::Drop(Dropped::Malformed) };
        if header.dcid.len() == CID_BYTES {
            let id = cid::read(&header.dcid).unwrap_or(0);
            if let Some(key) = self.by_id.get(&id) {
                return Route::Connection(*key);
            }
            // A first packet's ID is the client's choice and may look like anything.
            if header.ty != Type::Initial
                && header.ty != Type::ZeroRTT
                && let Some(route) = self.elsewhere(id)
            {
                return route;
            }
        }
        if let Some(key) = self.by_initial.get(&header.dcid[..]) {
            return Route::Connection(*key);
        }
        if header.ty != Type::Initial {
            return Route::Drop(Dropped::NotInitial);
        }
        if length < MIN_INITIAL_BYTES {
            return Route::Drop(Dropped::SmallInitial);
        }
        if header.dcid.len() < MIN_INITIAL_CID_BYTES {
            return Route::Drop(Dropped::Malformed);
        }
        Route::New
    }

    /// Whether an ID nobody knows here names another shard of this process.
    fn elsewhere(&self, id: Cid) -> Option<Route> {
        let (shard, generation) = self.key.open(id);
        let is_ours = generation == self.generation && shard != self.shard && (shard as usize) < self.shards;
        is_ours.then_some(Route::Shard(shard))
    }
}
