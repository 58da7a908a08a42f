//! Whose requests a session carries.

use std::net::{IpAddr, SocketAddr};

use crate::base::slab;

/// A client, as far as sessions and their queues tell clients apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// Network address, see [`Client::network`].
    pub network: u64,
    /// Connection.
    pub connection: u64,
}

impl Client {
    /// An address as one number: all of an IPv4 address; of IPv6 the first 64 bits, which providers
    /// give to one customer.
    pub fn network(address: SocketAddr) -> u64 {
        match address.ip().to_canonical() {
            IpAddr::V4(address) => IPV4 | u64::from(address.to_bits()),
            // 0 stands for no network.
            IpAddr::V6(address) => ((address.to_bits() >> 64) as u64).max(1),
        }
    }
}

/// Tells IPv4 from IPv6, where no address begins like this (RFC 4291 §2.4 reserves 0000::/8).
const IPV4: u64 = 0xffff << 32;

/// The right to one stream of a backend, issued by the pool's queue and returned to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// The queue's entry for the client.
    pub(super) entry: slab::Key,
    /// On whose behalf.
    pub client: Client,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_as_far_as_they_are_different_customers() {
        let network = |text: &str| Client::network(SocketAddr::new(text.parse().unwrap(), 1));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
        assert!(network("::1") != 0 && network("0.0.0.0") != network("::1"));
    }
}
