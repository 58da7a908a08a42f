//! What clients of a listener must prove, by the server name that they ask for.

use super::policy::Policy;
use super::rules::{Mode, Rules};
use crate::tls::names::{NameRoom, NameTable};
use boring::sha::Sha256;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The next generation of policies; none is zero.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// What clients of a listener must prove, by server name.
pub struct Policies {
    /// The first is for names that no other is for.
    all: Vec<Policy>,
    /// Places of the others.
    by_name: NameTable<u32>,
    /// No two of a process have the same.
    generation: u64,
}

impl Policies {
    /// Prepares rules; where none are for all other names those are asked for nothing.
    pub fn new(rules: Vec<Rules>) -> Result<Policies, String> {
        let (default, named): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rules| rules.names.is_empty());
        let default = default.into_iter().next().unwrap_or_else(Rules::off);
        let mut policies =
            Policies { all: vec![Policy::new(default)?], by_name: NameTable::default(), generation: GENERATIONS.fetch_add(1, Relaxed) };
        for rules in named {
            let place = policies.all.len() as u32;
            for name in &rules.names {
                *policies.by_name.entry(name) = place;
            }
            policies.all.push(Policy::new(rules)?);
        }
        Ok(policies)
    }

    /// These, as those that follow on `before`: the same ones again where nothing is different.
    pub(in crate::tls) fn following(self, before: &Arc<Policies>) -> Arc<Policies> {
        if self.is_same_as(before) { before.clone() } else { Arc::new(self) }
    }

    fn is_same_as(&self, other: &Policies) -> bool {
        let is_same = |(one, other): (&Policy, &Policy)| {
            let [mine, theirs] = [one, other].map(|policy| {
                let Rules { names, tells_authorities, max_bytes, keeps_connections, forward, .. } = &policy.rules;
                (policy.digest, names, *tells_authorities, *max_bytes, *keeps_connections, forward)
            });
            mine == theirs
        };
        self.all.len() == other.all.len() && self.all.iter().zip(&other.all).all(is_same)
    }

    /// No two of a process have the same.
    pub(in crate::tls) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether nobody is asked for anything.
    pub fn is_off(&self) -> bool {
        self.all.iter().all(|policy| policy.rules.mode == Mode::Off)
    }

    /// Whether all names have the same.
    pub(super) fn is_uniform(&self) -> bool {
        self.all.iter().all(|policy| policy.is_as(&self.all[0]))
    }

    /// Place of a host's policy: of its name, of the wildcard in place of its first label, of all
    /// others.
    pub(super) fn find(&self, host: &[u8]) -> u32 {
        let mut room = NameRoom::new();
        room.lower(host).and_then(|host| self.by_name.find(host)).copied().unwrap_or(0)
    }

    /// Stands for what decides about clients that ask for these names, in session tickets.
    pub(in crate::tls) fn digest(&self, names: &[&str], hash: &mut Sha256) {
        hash.update(&self.all[0].digest);
        for name in names {
            hash.update(&self.policy(self.find(name.as_bytes())).digest);
        }
    }

    /// That of a place; of one that there is not, that for all other names.
    pub fn policy(&self, place: u32) -> &Policy {
        self.all.get(place as usize).unwrap_or(&self.all[0])
    }
}
