//! Server names: something is found for a host by its exact name, or by a wildcard in place of its
//! first label.

use std::collections::HashMap;

/// The longest name that a client may ask for, as BoringSSL has it.
const MAX_NAME: usize = 255;

/// The host of an authority, without brackets.
pub(super) fn host_of(authority: &[u8]) -> &[u8] {
    match authority {
        [b'[', rest @ ..] => rest.split(|byte| *byte == b']').next().unwrap_or(rest),
        _ => authority.split(|byte| *byte == b':').next().unwrap_or(authority),
    }
}

/// Room for a name in the form in which names are found.
pub(super) struct NameRoom([u8; MAX_NAME]);

impl NameRoom {
    /// An empty one.
    pub fn new() -> NameRoom {
        NameRoom([0; MAX_NAME])
    }

    /// A name in lower case, without a dot at its end; none where it is too long or not text.
    pub fn lower(&mut self, name: &[u8]) -> Option<&str> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let lower = self.0.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        std::str::from_utf8(lower).ok()
    }
}

/// Something for each of many names, lower-case; a name with `*.` before it is for one label more.
pub(super) struct NameTable<T> {
    exact: HashMap<Box<str>, T>,
    /// By what follows the `*.`.
    wildcard: HashMap<Box<str>, T>,
}

impl<T> Default for NameTable<T> {
    fn default() -> Self {
        NameTable { exact: HashMap::new(), wildcard: HashMap::new() }
    }
}

impl<T> NameTable<T> {
    /// What is for a name as it is configured; put there where nothing is.
    pub fn entry(&mut self, name: &str) -> &mut T
    where
        T: Default,
    {
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.into()).or_default(),
            None => self.exact.entry(name.into()).or_default(),
        }
    }

    /// What is for exactly this host.
    pub fn exact(&self, host: &str) -> Option<&T> {
        self.exact.get(host)
    }

    /// What is for a wildcard, which stands for exactly one label (RFC 9525 §6.3), in place of the
    /// first label of a host.
    pub fn wildcard(&self, host: &str) -> Option<&T> {
        host.split_once('.').and_then(|(label, parent)| self.wildcard.get(parent).filter(|_| !label.is_empty()))
    }

    /// What is for a host: by its name, or else by the wildcard.
    pub fn find(&self, host: &str) -> Option<&T> {
        self.exact(host).or_else(|| self.wildcard(host))
    }

    /// The same names with something else for each.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> NameTable<U> {
        let mut each = |map: HashMap<Box<str>, T>| map.into_iter().map(|(name, of)| (name, make(of))).collect();
        NameTable { exact: each(self.exact), wildcard: each(self.wildcard) }
    }
}
