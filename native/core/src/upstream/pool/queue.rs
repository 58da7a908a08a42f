//! Permits for the streams of one backend, and the attempts that wait for one.
//!
//! Streams are shared fairly while any attempt waits: then one address gets at most half of the
//! capacity and one connection at most a quarter, as long as others want the rest. A permit is
//! never taken from whoever holds it, and no stream stays unused for a cap's sake. A client is an
//! address and a connection; connections belong to addresses, so the one connection of a proxy that
//! names many addresses counts as many connections here.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};

use crate::base::rng::Rng;
use crate::base::slab::{self, Slab};
use crate::upstream::client::{Client, Permit};
use crate::upstream::sink::AttemptId;

/// An address that holds permits or waits for some.
struct Network {
    network: u64,
    held: u32,
    /// Its connections that have an entry.
    connections: u32,
    /// Those that wait, by the number of the first attempt of each.
    heads: BTreeMap<u64, slab::Key>,
}

/// A connection of an address.
struct Connection {
    client: Client,
    network: slab::Key,
    held: u32,
    first: Option<slab::Key>,
    last: Option<slab::Key>,
}

/// An attempt that waits, in the queue of its connection.
struct Wait {
    key: AttemptId,
    connection: slab::Key,
    /// Order of arrival.
    number: u64,
    before: Option<slab::Key>,
    after: Option<slab::Key>,
}

/// The queue.
#[derive(Default)]
pub struct FairQueue {
    networks: Slab<Network>,
    connections: Slab<Connection>,
    waits: Slab<Wait>,
    by_network: HashMap<u64, slab::Key, Seeded>,
    by_client: HashMap<Client, slab::Key, Seeded>,
    by_key: HashMap<AttemptId, slab::Key, Seeded>,
    /// Addresses that wait, by the number of the first attempt of each.
    heads: BTreeMap<u64, slab::Key>,
    arrived: u64,
}

impl FairQueue {
    /// Attempts that wait.
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// Permits that are held.
    #[cfg(test)]
    pub fn held(&self) -> u64 {
        self.networks.iter().map(|(_, network)| u64::from(network.held)).sum()
    }

    /// Issues a permit. Every request has one, whether it waited or not: the caps count what was
    /// taken while none waited.
    pub fn acquire(&mut self, client: Client) -> Permit {
        let entry = self.connection_of(client);
        self.count(entry, 1);
        Permit { entry, client }
    }

    /// Takes a permit back.
    pub fn release(&mut self, permit: Permit) {
        self.count(permit.entry, -1);
        self.remove_unused(permit.entry);
    }

    /// Adds an attempt behind all others.
    pub fn push(&mut self, key: AttemptId, client: Client) {
        let owner = self.connection_of(client);
        let number = self.arrived;
        self.arrived += 1;
        let Some(connection) = self.connections.get_mut(owner) else { return };
        let before = connection.last;
        let wait = self.waits.insert_with(|_| Wait { key, connection: owner, number, before, after: None });
        connection.last = Some(wait);
        match before.and_then(|before| self.waits.get_mut(before)) {
            Some(before) => before.after = Some(wait),
            None => {
                connection.first = Some(wait);
                let network = connection.network;
                self.enter_head(network, number, owner);
            }
        }
        self.by_key.insert(key, wait);
    }

    /// Takes an attempt out; false when it does not wait.
    pub fn remove(&mut self, key: AttemptId) -> bool {
        let Some(wait) = self.by_key.get(&key).copied() else { return false };
        let Some(owner) = self.unlink(wait) else { return false };
        self.remove_unused(owner);
        true
    }

    /// Takes out the next attempt, with a permit for one of `capacity` streams: the one whose
    /// client is over the fewest caps, and of those the first that came.
    pub fn pop(&mut self, capacity: u32) -> Option<(AttemptId, Permit)> {
        let entry = self.choose(capacity)?;
        let connection = self.connections.get(entry)?;
        let (first, permit) = (connection.first?, Permit { entry, client: connection.client });
        let key = self.waits.get(first)?.key;
        self.unlink(first);
        self.count(entry, 1);
        Some((key, permit))
    }

    /// The same for a stream that only one client may use: the first of its attempts.
    pub fn pop_of(&mut self, client: Client) -> Option<(AttemptId, Permit)> {
        let entry = *self.by_client.get(&client)?;
        let first = self.connections.get(entry)?.first?;
        let key = self.waits.get(first)?.key;
        self.unlink(first);
        self.count(entry, 1);
        Some((key, Permit { entry, client }))
    }

    /// Takes out the first attempt without a permit.
    pub fn reject(&mut self) -> Option<AttemptId> {
        let network = self.networks.get(*self.heads.first_key_value()?.1)?;
        let connection = self.connections.get(*network.heads.first_key_value()?.1)?;
        let key = self.waits.get(connection.first?)?.key;
        self.remove(key).then_some(key)
    }

    /// Looks at one address and one connection more than are over their caps at most. These are
    /// few, as the caps add up to more than the capacity.
    fn choose(&self, capacity: u32) -> Option<slab::Key> {
        let (most_of_network, most_of_connection) = ((capacity / 2).max(1), (capacity / 4).max(1));
        let mut best: Option<(u32, u64, slab::Key)> = None;
        for (first, network) in &self.heads {
            if best.is_some_and(|(caps, number, _)| caps == 0 && number < *first) {
                break;
            }
            let Some(network) = self.networks.get(*network) else { continue };
            let caps_of_network = u32::from(network.held >= most_of_network);
            for (number, key) in &network.heads {
                if best.is_some_and(|(caps, best, _)| (caps, best) < (caps_of_network, *number)) {
                    break;
                }
                let is_over = self.connections.get(*key).is_some_and(|connection| connection.held >= most_of_connection);
                let caps = caps_of_network + u32::from(is_over);
                if best.is_none_or(|(most, best, _)| (caps, *number) < (most, best)) {
                    best = Some((caps, *number, *key));
                }
                if !is_over {
                    break;
                }
            }
        }
        best.map(|(_, _, key)| key)
    }

    /// The entry of a client's connection.
    fn connection_of(&mut self, client: Client) -> slab::Key {
        if let Some(known) = self.by_client.get(&client) {
            return *known;
        }
        let network = match self.by_network.get(&client.network) {
            Some(known) => *known,
            None => {
                let new = Network { network: client.network, held: 0, connections: 0, heads: BTreeMap::new() };
                let key = self.networks.insert_with(|_| new);
                self.by_network.insert(client.network, key);
                key
            }
        };
        if let Some(network) = self.networks.get_mut(network) {
            network.connections += 1;
        }
        let key = self.connections.insert_with(|_| Connection { client, network, held: 0, first: None, last: None });
        self.by_client.insert(client, key);
        key
    }

    fn count(&mut self, entry: slab::Key, by: i32) {
        let Some(connection) = self.connections.get_mut(entry) else { return };
        let Some(network) = self.networks.get_mut(connection.network) else { return };
        debug_assert!(by > 0 || connection.held > 0, "a permit released twice");
        connection.held = connection.held.saturating_add_signed(by);
        network.held = network.held.saturating_add_signed(by);
    }

    /// Unlinks an attempt; returns the connection it belonged to.
    fn unlink(&mut self, key: slab::Key) -> Option<slab::Key> {
        let wait = self.waits.remove(key)?;
        self.by_key.remove(&wait.key);
        if let Some(after) = wait.after.and_then(|after| self.waits.get_mut(after)) {
            after.before = wait.before;
        }
        let connection = self.connections.get_mut(wait.connection)?;
        if wait.after.is_none() {
            connection.last = wait.before;
        }
        match wait.before.and_then(|before| self.waits.get_mut(before)) {
            Some(before) => before.after = wait.after,
            None => {
                connection.first = wait.after;
                let network = connection.network;
                self.leave_head(network, wait.number);
                if let Some(after) = wait.after.and_then(|after| self.waits.get(after)) {
                    let number = after.number;
                    self.enter_head(network, number, wait.connection);
                }
            }
        }
        Some(wait.connection)
    }

    /// A connection has another first attempt.
    fn enter_head(&mut self, key: slab::Key, number: u64, connection: slab::Key) {
        let Some(network) = self.networks.get_mut(key) else { return };
        if let Some((first, _)) = network.heads.first_key_value() {
            if *first < number {
                network.heads.insert(number, connection);
                return;
            }
            self.heads.remove(first);
        }
        network.heads.insert(number, connection);
        self.heads.insert(number, key);
    }

    /// A connection's first attempt is gone.
    fn leave_head(&mut self, key: slab::Key, number: u64) {
        let Some(network) = self.networks.get_mut(key) else { return };
        network.heads.remove(&number);
        if self.heads.remove(&number).is_some()
            && let Some((first, _)) = network.heads.first_key_value()
        {
            self.heads.insert(*first, key);
        }
    }

    /// Removes a connection that neither holds a permit nor waits.
    fn remove_unused(&mut self, key: slab::Key) {
        let Some(connection) = self.connections.get(key).filter(|connection| connection.held == 0 && connection.first.is_none()) else {
            return;
        };
        self.by_client.remove(&connection.client);
        let owner = connection.network;
        self.connections.remove(key);
        let Some(network) = self.networks.get_mut(owner) else { return };
        network.connections -= 1;
        if network.connections == 0 {
            let number = network.network;
            self.networks.remove(owner);
            self.by_network.remove(&number);
        }
    }
}

/// Hashes a few numbers by folded multiplication under a secret. Clients choose their addresses, so
/// none may know which of them share a bucket.
#[derive(Clone)]
struct Seeded(u64, u64);

impl Default for Seeded {
    fn default() -> Seeded {
        let mut rng = Rng::default();
        Seeded(rng.next_u64(), rng.next_u64() | 1)
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding { state: self.0, factor: self.1 }
    }
}

struct Folding {
    state: u64,
    factor: u64,
}

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.state ^ number) * u128::from(self.factor);
        self.state = (wide as u64 ^ (wide >> 64) as u64).rotate_left(23);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same rule, looked up by walking all.
    #[derive(Default)]
    struct Model {
        held: Vec<Client>,
        waiting: Vec<(AttemptId, Client)>,
    }

    impl Model {
        fn caps(&self, client: Client, capacity: u32) -> u32 {
            let of_network = self.held.iter().filter(|held| held.network == client.network).count() as u32;
            let of_connection = self.held.iter().filter(|held| **held == client).count() as u32;
            u32::from(of_network >= (capacity / 2).max(1)) + u32::from(of_connection >= (capacity / 4).max(1))
        }

        fn pop(&mut self, capacity: u32) -> Option<(AttemptId, Client)> {
            let best = (0..self.waiting.len()).min_by_key(|index| (self.caps(self.waiting[*index].1, capacity), *index))?;
            let (key, client) = self.waiting.remove(best);
            self.held.push(client);
            Some((key, client))
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Acquire(Client),
        Release(usize),
        Push(Client),
        Remove(usize),
        Pop(u32),
        Reject,
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few enough to meet often.
        let client = || (0u64..3, 0u64..4).prop_map(|(network, connection)| Client { network, connection });
        prop_oneof![
            3 => client().prop_map(Step::Acquire),
            3 => any::<usize>().prop_map(Step::Release),
            6 => client().prop_map(Step::Push),
            2 => any::<usize>().prop_map(Step::Remove),
            5 => (0u32..24).prop_map(Step::Pop),
            1 => Just(Step::Reject),
        ]
    }

    proptest! {
        #[test]
        fn who_is_next_is_as_the_rule_says_and_nobody_is_remembered_for_nothing(steps in proptest::collection::vec(step(), 0..300)) {
            let (mut queue, mut model) = (FairQueue::default(), Model::default());
            let mut permits = Vec::new();
            for (key, step) in (0..).zip(steps) {
                match step {
                    Step::Acquire(client) => {
                        permits.push((client, queue.acquire(client)));
                        model.held.push(client);
                    }
                    Step::Release(index) if !permits.is_empty() => {
                        let (client, permit) = permits.swap_remove(index % permits.len());
                        queue.release(permit);
                        let at = model.held.iter().position(|held| *held == client).unwrap();
                        model.held.swap_remove(at);
                    }
                    Step::Push(client) => {
                        queue.push(key, client);
                        model.waiting.push((key, client));
                    }
                    Step::Remove(index) if !model.waiting.is_empty() => {
                        let (gone, _) = model.waiting.remove(index % model.waiting.len());
                        prop_assert!(queue.remove(gone));
                        prop_assert!(!queue.remove(gone));
                    }
                    Step::Pop(capacity) => {
                        let (found, expected) = (queue.pop(capacity), model.pop(capacity));
                        prop_assert_eq!(found.map(|(key, _)| key), expected.map(|(key, _)| key));
                        if let (Some((_, permit)), Some((_, client))) = (found, expected) {
                            permits.push((client, permit));
                        }
                    }
                    Step::Reject => {
                        let first = if model.waiting.is_empty() { None } else { Some(model.waiting.remove(0).0) };
                        prop_assert_eq!(queue.reject(), first);
                    }
                    _ => {}
                }
                prop_assert_eq!(queue.len(), model.waiting.len());
            }
            permits.into_iter().for_each(|(_, permit)| queue.release(permit));
            while queue.reject().is_some() {}
            let left = (queue.connections.len(), queue.networks.len(), queue.waits.len(), queue.heads.len());
            prop_assert_eq!(left, (0, 0, 0, 0));
            prop_assert_eq!((queue.by_client.len(), queue.by_network.len(), queue.by_key.len()), (0, 0, 0));
        }
    }

    fn client(network: u64, connection: u64) -> Client {
        Client { network, connection }
    }

    #[test]
    fn with_nobody_else_waiting_one_connection_may_have_every_place() {
        let mut queue = FairQueue::default();
        for key in 0..8 {
            queue.push(key, client(1, 1));
            assert_eq!(queue.pop(8).map(|(key, _)| key), Some(key));
        }
    }

    #[test]
    fn whoever_holds_half_by_address_or_a_quarter_by_connection_is_passed_over_while_others_wait() {
        let mut queue = FairQueue::default();
        for _ in 0..2 {
            queue.acquire(client(1, 1));
        }
        queue.push(10, client(1, 1));
        queue.push(11, client(1, 2));
        queue.push(12, client(1, 3));
        queue.push(13, client(2, 1));
        let mut next = || queue.pop(8).map(|(key, _)| key);
        // Connection 1 has its quarter. With two more, address 1 has its half.
        assert_eq!([next(), next(), next(), next(), next()], [Some(11), Some(12), Some(13), Some(10), None]);
    }

    #[test]
    fn of_a_crowd_over_its_cap_none_is_taken_before_others_and_each_may_leave() {
        let mut queue = FairQueue::default();
        for n in 0..500 {
            queue.acquire(client(1, n));
        }
        (0..20_000).for_each(|n| queue.push(n, client(1, n)));
        (0..100).for_each(|n| queue.push(100_000 + n, client(2 + n, 0)));
        for n in 0..100 {
            assert_eq!(queue.pop(1_000).map(|(key, _)| key), Some(100_000 + n));
        }
        (0..20_000).rev().for_each(|n| assert!(queue.remove(n)));
        assert!(queue.is_empty());
    }

    #[test]
    #[ignore = "prints a measurement"]
    fn what_a_permit_costs() {
        const COUNT: u64 = 1_000_000;
        let mut queue = FairQueue::default();
        let around: Vec<_> = (0..2_000).map(|n| queue.acquire(client(n / 4, n))).collect();
        let started = std::time::Instant::now();
        for n in 0..COUNT {
            let permit = queue.acquire(client(n % 700, n % 5_000));
            queue.release(permit);
        }
        println!("a permit acquired and released: {} ns", started.elapsed().as_nanos() / u128::from(COUNT));
        around.into_iter().for_each(|permit| queue.release(permit));
    }
}
