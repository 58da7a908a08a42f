//! Normalisation: a head that has a canonical form gets it before anybody looks at it, one that has none is refused.
//!
//! Routes, limits, access lists, logs and backends then read one spelling of one resource, so that nobody is talked around a rule with another spelling of
//! the same path. The rules and their reasons are in `docs/design/normalisation.md`, whose tables are this module's tests. Pure functions: a head that is
//! canonical already, as nearly all are, costs one look at its bytes.
//!
//! What a head may hold at all is for [`super::check`] to say; nothing that is malformed there becomes well-formed here.

mod authority;
mod path;
#[cfg(test)]
mod tests;

pub use authority::{DefaultPort, authority};
pub use path::{behind_segments, path, path_and_kept};

use super::fields::{Fields, Known};

/// Why there is no canonical form: a short phrase for people.
pub type Complaint = &'static str;

/// What a listener may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `//` in a path becomes `/`.
    pub are_slashes_merged: bool,
    /// `%2F` and `%5C` in a path stay; otherwise they have no canonical form.
    pub are_escaped_slashes_kept: bool,
}

/// Makes `:path`, `:authority` and `host` canonical in place; `text` is scratch. `kept` gets the path as a backend is to get it, nothing where that is the canonical form.
/// After a complaint the fields before the one complained of are canonical, the others as they came.
pub fn head(fields: &mut Fields, rules: Rules, text: &mut Vec<u8>, kept: &mut Vec<u8>) -> Result<(), Complaint> {
    kept.clear();
    let default_port = DefaultPort::of(fields.known(Known::Scheme).unwrap_or_default());
    for place in 0..fields.len() {
        let is_changed = match fields.known_at(place) {
            // An empty `:path` is malformed (RFC 9114 §4.3.1), whatever an empty path means in a URL.
            Known::Path if !fields.at(place).value.is_empty() => {
                let is_changed = path_and_kept(fields.at(place).value, rules, text, kept)?;
                if !is_changed || kept == text {
                    kept.clear();
                }
                is_changed
            }
            Known::Authority | Known::Host => authority(fields.at(place).value, default_port, text)?,
            _ => continue,
        };
        if is_changed {
            fields.replace(place, text);
        }
    }
    Ok(())
}
