//! Which hosts the requests of a connection may be for.

use super::client_auth::Gate;
use super::names::host_of;
use std::sync::Arc;

/// Authorities that requests of a connection may name: those its certificate is good for, where its
/// listener is strict, and those that want of clients what its handshake wanted.
#[derive(Default)]
pub struct Coverage {
    names: Option<Arc<[String]>>,
    gate: Option<Gate>,
    /// The authority that was last found among them.
    last: Vec<u8>,
}

impl Coverage {
    /// Of the names of a certificate and of what its handshake wanted of the client; none for all.
    pub fn new(names: Option<Arc<[String]>>, gate: Option<Gate>) -> Coverage {
        Coverage { names, gate, last: Vec::new() }
    }

    /// Whether requests for an authority may come here. Nothing is asked where the listener is not
    /// strict and wants the same of all clients.
    #[inline]
    pub fn admits(&mut self, authority: &[u8]) -> bool {
        if self.names.is_none() && self.gate.is_none() || !authority.is_empty() && authority == self.last {
            return true;
        }
        let is_named = self.names.as_ref().is_none_or(|names| covers(names, authority));
        let is_covered = is_named && self.gate.as_ref().is_none_or(|gate| gate.admits(authority));
        if is_covered {
            self.last.clear();
            self.last.extend_from_slice(authority);
        }
        is_covered
    }
}

/// Whether a certificate is good for the host of an authority: by its name, by a wildcard in place
/// of the first label (RFC 9525 §6.3), or by its address.
fn covers(names: &[String], authority: &[u8]) -> bool {
    let host = host_of(authority);
    let host = host.strip_suffix(b".").unwrap_or(host);
    let parent = host.iter().position(|byte| *byte == b'.').map(|dot| &host[dot..]).filter(|parent| parent.len() < host.len());
    names.iter().any(|name| match name.strip_prefix('*') {
        Some(of) => parent.is_some_and(|parent| parent.eq_ignore_ascii_case(of.as_bytes())),
        None => host.eq_ignore_ascii_case(name.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_covered_by_its_name_a_wildcard_of_one_label_or_its_address() {
        let names: Arc<[String]> = ["a.test", "*.b.test", "192.0.2.1", "2001:db8::1"].map(str::to_owned).into();
        let mut coverage = Coverage { names: Some(names), ..Coverage::default() };
        for good in ["a.test", "A.test:443", "a.test.", "x.b.test", "X.B.TEST:8443", "192.0.2.1:1", "[2001:db8::1]:443", "[2001:db8::1]"] {
            assert!(coverage.admits(good.as_bytes()) && coverage.admits(good.as_bytes()), "{good}");
        }
        for bad in ["b.test", "x.y.b.test", ".b.test", "x.a.test", "test", "", "192.0.2.2", "[2001:db8::2]", "a.test.evil.test"] {
            assert!(!coverage.admits(bad.as_bytes()) && !coverage.admits(bad.as_bytes()), "{bad}");
        }
        assert!(Coverage::default().admits(b"anything"));
    }
}
