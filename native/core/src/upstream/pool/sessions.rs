//! The sessions of the pool: their names, their epoll tokens, and which of them are to be flushed.

use std::os::fd::RawFd;

use super::backend::Counted;
use crate::base::panics;
use crate::base::slab::{self, Slab};
use crate::upstream::session::Session;
use crate::upstream::sink::SessionRef;

/// Bits of a token that name a session: 32 of its index and 20 of its generation. The caller's base
/// lies above.
pub const TOKEN_BITS: u32 = 52;

const GENERATION_MASK: u64 = 0xf_ffff;

/// A session and what the pool keeps of it.
pub struct Member {
    /// Its name.
    pub name: SessionRef,
    /// Its backend.
    pub backend: slab::Key,
    /// The session.
    pub session: Session,
    /// What it counts as at its backend.
    pub counted: Counted,
    /// It counts as bound to one client.
    pub is_bound: bool,
    is_dirty: bool,
}

/// All sessions.
pub struct Sessions {
    members: Slab<Box<Member>>,
    dirty: Vec<SessionRef>,
    /// Sessions that panicked, to be ended.
    condemned: Vec<SessionRef>,
    epoll: RawFd,
    token_base: u64,
}

impl Sessions {
    /// None yet. Sockets are watched by `epoll` under tokens that leave `token_base` as it is.
    pub fn new(epoll: RawFd, token_base: u64) -> Sessions {
        debug_assert!(token_base & ((1 << TOKEN_BITS) - 1) == 0);
        Sessions { members: Slab::default(), dirty: Vec::new(), condemned: Vec::new(), epoll, token_base }
    }

    /// The epoll that watches the sockets.
    pub fn epoll(&self) -> RawFd {
        self.epoll
    }

    /// What is set in every token.
    pub fn token_base(&self) -> u64 {
        self.token_base
    }

    /// Drops every session, panic or no panic. Their sockets close with them; their names, and
    /// tokens that are on the way, find nothing.
    pub fn clear(&mut self) {
        for member in self.members.drain() {
            let _ = panics::guard_shard(|| drop(member));
        }
        self.dirty.clear();
        self.condemned.clear();
    }

    /// Name of the next session.
    pub fn next_name(&self) -> SessionRef {
        SessionRef(self.members.next_key())
    }

    /// Adds a session under [`Sessions::next_name`].
    pub fn insert(&mut self, backend: slab::Key, session: Session) -> SessionRef {
        let make = |key| {
            Box::new(Member { name: SessionRef(key), backend, session, counted: Counted::default(), is_bound: false, is_dirty: false })
        };
        SessionRef(self.members.insert_with(make))
    }

    /// Takes a session out.
    pub fn remove(&mut self, name: SessionRef) -> Option<Box<Member>> {
        self.members.remove(name.0)
    }

    /// The session of a name.
    pub fn get(&self, name: SessionRef) -> Option<&Member> {
        self.members.get(name.0).map(|member| &**member)
    }

    /// The session of a name, to change.
    pub fn get_mut(&mut self, name: SessionRef) -> Option<&mut Member> {
        self.members.get_mut(name.0).map(|member| &mut **member)
    }

    /// The sessions of some names.
    pub fn of<'a>(&'a self, names: &'a [SessionRef]) -> impl Iterator<Item = &'a Member> {
        names.iter().filter_map(|name| self.get(*name))
    }

    /// Names of all sessions.
    pub fn names(&self) -> Vec<SessionRef> {
        self.members.keys().into_iter().map(SessionRef).collect()
    }

    /// The session of a name, which the next flush sees to.
    pub fn touch(&mut self, name: SessionRef) -> Option<&mut Member> {
        let member = self.members.get_mut(name.0)?;
        if !member.is_dirty {
            member.is_dirty = true;
            self.dirty.push(name);
        }
        Some(member)
    }

    /// Sessions to flush.
    pub fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// One of the sessions to flush, which may become dirty again from now on.
    pub fn clean(&mut self, index: usize) -> Option<SessionRef> {
        let name = self.dirty[index];
        self.members.get_mut(name.0)?.is_dirty = false;
        Some(name)
    }

    /// Forgets the first `count` sessions to flush: they were flushed.
    pub fn forget_flushed(&mut self, count: usize) {
        self.dirty.drain(..count);
    }

    /// Marks a session that panicked; the next flush ends it.
    pub fn condemn(&mut self, name: SessionRef) {
        self.condemned.push(name);
    }

    /// Whether a session panicked and was not ended yet.
    pub fn is_condemned(&self, name: SessionRef) -> bool {
        self.condemned.contains(&name)
    }

    /// Whether any session did.
    pub fn has_condemned(&self) -> bool {
        !self.condemned.is_empty()
    }

    /// The next session that panicked.
    pub fn next_condemned(&mut self) -> Option<SessionRef> {
        self.condemned.pop()
    }

    /// The session of an epoll token.
    pub fn by_token(&self, token: u64) -> Option<SessionRef> {
        let index = token as u32;
        let generation = self.members.generation_at(index)?;
        let is_current = u64::from(generation) & GENERATION_MASK == token >> 32 & GENERATION_MASK;
        is_current.then_some(SessionRef(slab::Key { index, generation }))
    }

    /// The epoll token of a session.
    pub fn token(&self, name: SessionRef) -> u64 {
        self.token_base | (u64::from(name.0.generation) & GENERATION_MASK) << 32 | u64::from(name.0.index)
    }
}
