//! Connections by client: how many each address has, counted by all shards together.
//!
//! An address counts only once its client has shown that it is there, which a finished handshake
//! does: who forges addresses uses up nobody's places. The table holds no entry for who has no
//! connection, so it is never longer than the connections of its listener are many.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts of the table, each with a lock of its own: two shards seldom want the same.
const STRIPES: usize = 64;

/// A part of the table that has room for more than this and uses a quarter of it gives half of that
/// back.
const KEPT_ENTRIES: usize = 64;

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address lies in it. An IPv4 address in IPv6 form is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && cut(address, self.prefix, self.prefix) == self.base
    }
}

/// `10.0.0.0/8`, or an address alone.
impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(drop)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |prefix| prefix.parse().map_err(drop))?;
        if prefix > most {
            return Err(());
        }
        Ok(Network { base: cut(address, prefix, prefix), prefix })
    }
}

/// The first bits of an address, by family.
fn cut(address: IpAddr, prefix4: u8, prefix6: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - u32::from(prefix4)).unwrap_or(0)))
        }
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - u32::from(prefix6)).unwrap_or(0)))
        }
    }
}

/// What a client may have of a listener's connections, and who is no single client.
#[derive(Clone, Debug)]
pub struct ClientLimit {
    /// Connections at once, in all shards.
    pub max: u32,
    /// Bits of an IPv4 address that make a client.
    pub prefix4: u8,
    /// The same of an IPv6 address.
    pub prefix6: u8,
    /// From here come as many as will.
    pub exempt: Vec<Network>,
    /// Those that are open, in all shards.
    pub counts: ClientCounts,
}

impl ClientLimit {
    /// Whether the client at `address` has all it may. It is no promise: others may be about to
    /// finish their handshakes.
    pub fn is_full(&self, address: IpAddr) -> bool {
        // Who is exempt is not counted, and has never all.
        self.counts.get(self.client(address)) >= self.max
    }

    /// A place for one more connection of the client at `address`, if there is one.
    pub fn take(&self, address: IpAddr) -> Option<ClientPlace> {
        if self.exempt.iter().any(|network| network.contains(address)) {
            return Some(ClientPlace::default());
        }
        self.counts.take(self.client(address), self.max)
    }

    /// Who an address is. An IPv4 address in IPv6 form is the IPv4 address.
    fn client(&self, address: IpAddr) -> IpAddr {
        cut(address.to_canonical(), self.prefix4, self.prefix6)
    }
}

type Stripe = Mutex<HashMap<IpAddr, u32>>;

/// How many connections each client has. Hashes are keyed (SipHash, keys of the process's own):
/// nobody can choose addresses that collide.
#[derive(Clone, Debug, Default)]
pub struct ClientCounts(Arc<Table>);

#[derive(Debug)]
struct Table {
    hasher: RandomState,
    stripes: [Stripe; STRIPES],
}

impl Default for Table {
    fn default() -> Table {
        Table { hasher: RandomState::new(), stripes: std::array::from_fn(|_| Stripe::default()) }
    }
}

impl Table {
    /// The part that an address belongs to. Locked for one look-up, when a client asks for a
    /// connection, when it has it and when that ends; never for a packet.
    fn stripe(&self, client: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        let place = self.hasher.hash_one(client) as usize % STRIPES;
        // A number is added or taken away in one step: who panicked there left nothing half done.
        self.stripes[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientCounts {
    /// A place for one more of `client`, if it has fewer than `limit`; it is free again when it is
    /// dropped.
    pub fn take(&self, client: IpAddr, limit: u32) -> Option<ClientPlace> {
        let mut stripe = self.0.stripe(client);
        let held = stripe.get(&client).copied().unwrap_or(0);
        if held >= limit {
            return None;
        }
        stripe.insert(client, held + 1);
        Some(ClientPlace(Some((self.clone(), client))))
    }

    /// How many a client has.
    pub fn get(&self, client: IpAddr) -> u32 {
        self.0.stripe(client).get(&client).copied().unwrap_or(0)
    }

    /// How many clients have any.
    pub fn clients(&self) -> usize {
        self.0.stripes.iter().map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn give_back(&self, client: IpAddr) {
        let mut stripe = self.0.stripe(client);
        if let Entry::Occupied(mut entry) = stripe.entry(client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        let used = stripe.len();
        if stripe.capacity() > KEPT_ENTRIES.max(4 * used) {
            stripe.shrink_to(2 * used);
        }
    }
}

/// A connection's place among those of its client; the default is that of who is not counted.
#[derive(Debug, Default)]
pub struct ClientPlace(Option<(ClientCounts, IpAddr)>);

impl ClientPlace {
    /// How many its client has, if it is counted.
    pub fn shared_by(&self) -> Option<u32> {
        self.0.as_ref().map(|(counts, client)| counts.get(*client))
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        if let Some((counts, client)) = &self.0 {
            counts.give_back(*client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limit(max: u32, prefix4: u8, prefix6: u8, exempt: &[&str]) -> ClientLimit {
        let exempt = exempt.iter().map(|text| text.parse().unwrap()).collect();
        ClientLimit { max, prefix4, prefix6, exempt, counts: ClientCounts::default() }
    }

    #[test]
    fn an_ipv6_client_is_its_network_and_an_ipv4_client_its_address_in_either_form() {
        let limit = limit(1, 32, 64, &[]);
        let _held: Vec<_> = ["2001:db8:1:1::1", "192.0.2.1", "::1"].map(|text| limit.take(address(text)).unwrap()).into();
        for full in ["2001:db8:1:1:ffff::2", "::ffff:192.0.2.1", "::2"] {
            assert!(limit.is_full(address(full)) && limit.take(address(full)).is_none(), "{full}");
        }
        for other in ["2001:db8:1:2::1", "192.0.2.2", "::ffff:192.0.2.3", "0:0:0:1::1"] {
            assert!(!limit.is_full(address(other)) && limit.take(address(other)).is_some(), "{other}");
        }
        assert_eq!(limit.counts.clients(), 3);
    }

    #[test]
    fn clients_are_as_wide_as_they_are_said_to_be() {
        let limit = limit(1, 24, 48, &[]);
        let _held: Vec<_> = ["192.0.2.1", "2001:db8:1::1"].map(|text| limit.take(address(text)).unwrap()).into();
        assert!(limit.is_full(address("192.0.2.255")) && limit.is_full(address("2001:db8:1:ffff::1")));
        assert!(!limit.is_full(address("192.0.3.1")) && !limit.is_full(address("2001:db8:2::1")));
    }

    #[test]
    fn who_is_exempt_is_not_counted() {
        let limit = limit(1, 32, 64, &["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]);
        for text in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8:ffff::1", "192.0.2.7"] {
            let held: Vec<_> = (0..5).map(|_| limit.take(address(text)).unwrap()).collect();
            assert!(held.iter().all(|place| place.shared_by().is_none()) && !limit.is_full(address(text)));
        }
        assert_eq!(limit.counts.clients(), 0);
        let held = limit.take(address("192.0.2.8")).unwrap();
        assert_eq!(held.shared_by(), Some(1));
        assert!(limit.take(address("192.0.2.8")).is_none() && limit.take(address("2001:db9::1")).is_some());
    }

    #[test]
    fn blocks_are_read_with_the_bits_behind_the_prefix_cleared_and_nothing_else_is_one() {
        for (text, inside, outside) in [
            ("192.0.2.129/25", "192.0.2.255", "192.0.2.127"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ] {
            let network: Network = text.parse().unwrap();
            assert!(network.contains(address(inside)) && !network.contains(address(outside)), "{text}");
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "x/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn threads_together_never_have_more_places_of_a_client_than_the_limit_and_leave_none_behind() {
        let counts = ClientCounts::default();
        let clients: Vec<IpAddr> = (1..=200).map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))).collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (counts, clients) = (&counts, &clients);
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for round in 0..20_000 {
                        let client = clients[(round * (thread + 3)) % clients.len()];
                        held.extend(counts.take(client, 3));
                        assert!(counts.get(client) <= 3);
                        if round % 2 == 0 {
                            held.pop();
                        }
                    }
                });
            }
        });
        assert_eq!(counts.clients(), 0);
    }

    #[test]
    fn room_for_many_clients_is_given_back_when_they_have_gone() {
        let counts = ClientCounts::default();
        let held: Vec<_> = (0..100_000u32).map(|host| counts.take(IpAddr::V4(Ipv4Addr::from_bits(host)), 1).unwrap()).collect();
        assert_eq!(counts.clients(), 100_000);
        drop(held);
        let room: usize = counts.0.stripes.iter().map(|stripe| stripe.lock().unwrap().capacity()).sum();
        assert!(room <= STRIPES * KEPT_ENTRIES * 2, "room for {room}");
    }

    proptest! {
        /// Against a model that keeps every place in a list.
        #[test]
        fn the_table_holds_exactly_who_has_places_and_as_many_as_it_has(
            steps in proptest::collection::vec((0u8..12, any::<bool>(), any::<prop::sample::Index>()), 0..200), max in 1u32..4,
        ) {
            let limit = limit(max, 32, 64, &["10.0.0.11"]);
            let mut held: Vec<(u8, ClientPlace)> = Vec::new();
            for (host, is_taken, which) in steps {
                let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
                if is_taken {
                    let has = held.iter().filter(|place| place.0 == host).count();
                    let place = limit.take(address);
                    prop_assert_eq!(place.is_some(), host == 11 || has < max as usize);
                    held.extend(place.map(|place| (host, place)));
                } else if !held.is_empty() {
                    held.swap_remove(which.index(held.len()));
                }
                for host in 0..11 {
                    let has = held.iter().filter(|place| place.0 == host).count();
                    prop_assert_eq!(limit.counts.get(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))) as usize, has);
                }
                let clients: std::collections::HashSet<u8> = held.iter().map(|place| place.0).filter(|host| *host != 11).collect();
                prop_assert_eq!(limit.counts.clients(), clients.len());
            }
            drop(held);
            prop_assert_eq!(limit.counts.clients(), 0);
        }
    }
}
