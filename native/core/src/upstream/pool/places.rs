//! Places of one backend: who holds how many, who waits, and who is next.
//!
//! Places are shared fairly while somebody waits: then one address gets no more than half of them
//! and one connection no more than a quarter, as long as others want what is left. Nothing is taken
//! from whoever holds it, and no place stays empty for a cap's sake. A client is an address and a
//! connection; connections of an address belong to it, so that a proxy's one connection, on which
//! many are named, is many connections here.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::base::rng::Rng;
use crate::base::slab::{self, Slab};
use crate::upstream::sink::Key;

/// On whose behalf a place is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// Network address, see [`Client::network`].
    pub network: u64,
    /// Connection.
    pub connection: u64,
}

impl Client {
    /// An address as one number: IPv4 as it is, of IPv6 the first 64 bits, which one customer of a
    /// provider has to himself.
    pub fn network(address: SocketAddr) -> u64 {
        match address.ip().to_canonical() {
            IpAddr::V4(address) => IPV4 | u64::from(address.to_bits()),
            // No network is 0: that stands for none.
            IpAddr::V6(address) => ((address.to_bits() >> 64) as u64).max(1),
        }
    }
}

/// Tells IPv4 from IPv6, where nothing begins like this (RFC 4291 §2.4 has 0000::/8 reserved).
const IPV4: u64 = 0xffff << 32;

/// Names whose place it is, to give it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    entry: slab::Key,
    /// On whose behalf.
    pub client: Client,
}

/// An address that holds places or waits for some.
struct Network {
    network: u64,
    held: u32,
    /// Its connections that are known here.
    connections: u32,
    /// Those that wait, by the number of the first who does.
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

/// One who waits, in the queue of its connection.
struct Wait {
    key: Key,
    connection: slab::Key,
    /// Rises with each that comes.
    number: u64,
    before: Option<slab::Key>,
    after: Option<slab::Key>,
}

/// The books of places.
#[derive(Default)]
pub struct Places {
    networks: Slab<Network>,
    connections: Slab<Connection>,
    waits: Slab<Wait>,
    by_network: HashMap<u64, slab::Key, Seeded>,
    by_client: HashMap<Client, slab::Key, Seeded>,
    by_key: HashMap<Key, slab::Key, Seeded>,
    /// Addresses that wait, by the number of the first of them who does.
    heads: BTreeMap<u64, slab::Key>,
    came: u64,
}

impl Places {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waits.len()
    }

    /// Whether nobody waits.
    pub fn is_quiet(&self) -> bool {
        self.waits.is_empty()
    }

    /// How many places are held.
    #[cfg(test)]
    pub fn held(&self) -> u64 {
        self.networks.iter().map(|(_, network)| u64::from(network.held)).sum()
    }

    /// Gives a client a place. Counted for every request, waited for or not: caps are about what
    /// was taken while nobody waited.
    pub fn hold(&mut self, client: Client) -> Holder {
        let entry = self.connection_of(client);
        self.count(entry, 1);
        Holder { entry, client }
    }

    /// Takes a place back.
    pub fn free(&mut self, holder: Holder) {
        self.count(holder.entry, -1);
        self.forget_unused(holder.entry);
    }

    /// Lets one wait behind all others.
    pub fn wait(&mut self, key: Key, client: Client) {
        let owner = self.connection_of(client);
        let number = self.came;
        self.came += 1;
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

    /// One does not wait any longer; false when it did not.
    pub fn forget(&mut self, key: Key) -> bool {
        let Some(wait) = self.by_key.get(&key).copied() else { return false };
        let Some(owner) = self.take_out(wait) else { return false };
        self.forget_unused(owner);
        true
    }

    /// Takes the next out of those who wait, when one of `places` is free, and gives him the place:
    /// whoever is over the fewest caps, and of those who came first.
    pub fn next(&mut self, places: u32) -> Option<(Key, Holder)> {
        let entry = self.choose(places)?;
        let connection = self.connections.get(entry)?;
        let (first, holder) = (connection.first?, Holder { entry, client: connection.client });
        let key = self.waits.get(first)?.key;
        self.take_out(first);
        self.count(entry, 1);
        Some((key, holder))
    }

    /// The same for a place that only one client may have: whoever of its own came first.
    pub fn next_of(&mut self, client: Client) -> Option<(Key, Holder)> {
        let entry = *self.by_client.get(&client)?;
        let first = self.connections.get(entry)?.first?;
        let key = self.waits.get(first)?.key;
        self.take_out(first);
        self.count(entry, 1);
        Some((key, Holder { entry, client }))
    }

    /// Takes the first who waits, if any, without a place.
    pub fn dismiss(&mut self) -> Option<Key> {
        let network = self.networks.get(*self.heads.first_key_value()?.1)?;
        let connection = self.connections.get(*network.heads.first_key_value()?.1)?;
        let key = self.waits.get(connection.first?)?.key;
        self.forget(key).then_some(key)
    }

    /// Looks at one address and one connection more than are over their caps at most; these are
    /// few, as the caps add up to more than there is.
    fn choose(&self, places: u32) -> Option<slab::Key> {
        let (most_of_network, most_of_connection) = ((places / 2).max(1), (places / 4).max(1));
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

    /// The connection of a client in the books.
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
        debug_assert!(by > 0 || connection.held > 0, "a place given back that was not held");
        connection.held = connection.held.saturating_add_signed(by);
        network.held = network.held.saturating_add_signed(by);
    }

    /// Takes one out of its queue; the connection it belonged to.
    fn take_out(&mut self, key: slab::Key) -> Option<slab::Key> {
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

    /// A connection's first is another.
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

    /// A connection's first is gone.
    fn leave_head(&mut self, key: slab::Key, number: u64) {
        let Some(network) = self.networks.get_mut(key) else { return };
        network.heads.remove(&number);
        if self.heads.remove(&number).is_some()
            && let Some((first, _)) = network.heads.first_key_value()
        {
            self.heads.insert(*first, key);
        }
    }

    /// Nobody is remembered who neither holds nor waits.
    fn forget_unused(&mut self, key: slab::Key) {
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

/// Hashes a few numbers by folded multiplication under a secret: addresses are strangers' to
/// choose, so nobody may know which of them share a bucket.
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
        waiting: Vec<(Key, Client)>,
    }

    impl Model {
        fn caps(&self, client: Client, places: u32) -> u32 {
            let of_network = self.held.iter().filter(|held| held.network == client.network).count() as u32;
            let of_connection = self.held.iter().filter(|held| **held == client).count() as u32;
            u32::from(of_network >= (places / 2).max(1)) + u32::from(of_connection >= (places / 4).max(1))
        }

        fn next(&mut self, places: u32) -> Option<(Key, Client)> {
            let best = (0..self.waiting.len()).min_by_key(|place| (self.caps(self.waiting[*place].1, places), *place))?;
            let (key, client) = self.waiting.remove(best);
            self.held.push(client);
            Some((key, client))
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Hold(Client),
        Free(usize),
        Wait(Client),
        Forget(usize),
        Next(u32),
        Dismiss,
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few enough to meet often.
        let client = || (0u64..3, 0u64..4).prop_map(|(network, connection)| Client { network, connection });
        prop_oneof![
            3 => client().prop_map(Step::Hold),
            3 => any::<usize>().prop_map(Step::Free),
            6 => client().prop_map(Step::Wait),
            2 => any::<usize>().prop_map(Step::Forget),
            5 => (0u32..24).prop_map(Step::Next),
            1 => Just(Step::Dismiss),
        ]
    }

    proptest! {
        #[test]
        fn who_is_next_is_as_the_rule_says_and_nobody_is_remembered_for_nothing(steps in proptest::collection::vec(step(), 0..300)) {
            let (mut places, mut model) = (Places::default(), Model::default());
            let mut holders = Vec::new();
            for (key, step) in (0..).zip(steps) {
                match step {
                    Step::Hold(client) => {
                        holders.push((client, places.hold(client)));
                        model.held.push(client);
                    }
                    Step::Free(place) if !holders.is_empty() => {
                        let (client, holder) = holders.swap_remove(place % holders.len());
                        places.free(holder);
                        let at = model.held.iter().position(|held| *held == client).unwrap();
                        model.held.swap_remove(at);
                    }
                    Step::Wait(client) => {
                        places.wait(key, client);
                        model.waiting.push((key, client));
                    }
                    Step::Forget(place) if !model.waiting.is_empty() => {
                        let (gone, _) = model.waiting.remove(place % model.waiting.len());
                        prop_assert!(places.forget(gone));
                        prop_assert!(!places.forget(gone));
                    }
                    Step::Next(count) => {
                        let (found, expected) = (places.next(count), model.next(count));
                        prop_assert_eq!(found.map(|(key, _)| key), expected.map(|(key, _)| key));
                        if let (Some((_, holder)), Some((_, client))) = (found, expected) {
                            holders.push((client, holder));
                        }
                    }
                    Step::Dismiss => {
                        let first = if model.waiting.is_empty() { None } else { Some(model.waiting.remove(0).0) };
                        prop_assert_eq!(places.dismiss(), first);
                    }
                    _ => {}
                }
                prop_assert_eq!(places.waiting(), model.waiting.len());
            }
            holders.into_iter().for_each(|(_, holder)| places.free(holder));
            while places.dismiss().is_some() {}
            let left = (places.connections.len(), places.networks.len(), places.waits.len(), places.heads.len());
            prop_assert_eq!(left, (0, 0, 0, 0));
            prop_assert_eq!((places.by_client.len(), places.by_network.len(), places.by_key.len()), (0, 0, 0));
        }
    }

    fn client(network: u64, connection: u64) -> Client {
        Client { network, connection }
    }

    #[test]
    fn with_nobody_else_waiting_one_connection_may_have_every_place() {
        let mut places = Places::default();
        for key in 0..8 {
            places.wait(key, client(1, 1));
            assert_eq!(places.next(8).map(|(key, _)| key), Some(key));
        }
    }

    #[test]
    fn whoever_holds_half_by_address_or_a_quarter_by_connection_is_passed_over_while_others_wait() {
        let mut places = Places::default();
        for _ in 0..2 {
            places.hold(client(1, 1));
        }
        places.wait(10, client(1, 1));
        places.wait(11, client(1, 2));
        places.wait(12, client(1, 3));
        places.wait(13, client(2, 1));
        let mut next = || places.next(8).map(|(key, _)| key);
        // Connection 1 has its quarter. With two more, address 1 has its half.
        assert_eq!([next(), next(), next(), next(), next()], [Some(11), Some(12), Some(13), Some(10), None]);
    }

    #[test]
    fn of_a_crowd_over_its_cap_none_is_taken_before_others_and_each_may_leave() {
        let mut places = Places::default();
        for n in 0..500 {
            places.hold(client(1, n));
        }
        (0..20_000).for_each(|n| places.wait(n, client(1, n)));
        (0..100).for_each(|n| places.wait(100_000 + n, client(2 + n, 0)));
        for n in 0..100 {
            assert_eq!(places.next(1_000).map(|(key, _)| key), Some(100_000 + n));
        }
        (0..20_000).rev().for_each(|n| assert!(places.forget(n)));
        assert!(places.is_quiet());
    }

    #[test]
    fn addresses_are_told_apart_as_far_as_they_are_different_customers() {
        let network = |text: &str| Client::network(SocketAddr::new(text.parse().unwrap(), 1));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
        assert!(network("::1") != 0 && network("0.0.0.0") != network("::1"));
    }

    #[test]
    #[ignore = "prints a measurement"]
    fn what_a_place_costs() {
        const COUNT: u64 = 1_000_000;
        let mut places = Places::default();
        let around: Vec<_> = (0..2_000).map(|n| places.hold(client(n / 4, n))).collect();
        let started = std::time::Instant::now();
        for n in 0..COUNT {
            let holder = places.hold(client(n % 700, n % 5_000));
            places.free(holder);
        }
        println!("a place held and given back: {} ns", started.elapsed().as_nanos() / u128::from(COUNT));
        around.into_iter().for_each(|holder| places.free(holder));
    }
}
