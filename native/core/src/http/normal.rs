//! Normalisation: a head is brought into its canonical form before anything reads it; one without
//! such a form is refused.
//!
//! Routes, limits, access lists, logs and backends then read one spelling of a resource, so another
//! spelling of the same path does not evade a rule. The rules and reasons are in
//! `docs/design/normalisation.md`; its tables are the tests. All functions are pure. A head that is
//! canonical, as nearly all are, costs one pass over its bytes.
//!
//! [`super::check`] decides what is malformed; nothing malformed there becomes well-formed here.

mod authority;
mod path;
#[cfg(test)]
mod tests;

pub use authority::{DefaultPort, authority};
pub use path::{behind_segments, path, path_and_kept};

use super::fields::{Fields, Known};

/// Why there is no canonical form, as a short phrase.
pub type Complaint = &'static str;

/// Options of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `//` in a path becomes `/`.
    pub are_slashes_merged: bool,
    /// `%2F` and `%5C` in a path stay; without this they have no canonical form.
    pub are_escaped_slashes_kept: bool,
}

/// Makes `:path`, `:authority` and `host` canonical in place; `text` is scratch. `kept` gets the
/// path for the backend, or nothing where that is the canonical form. On an error, fields before
/// the faulty one are canonical and the others unchanged.
pub fn head(fields: &mut Fields, rules: Rules, text: &mut Vec<u8>, kept: &mut Vec<u8>) -> Result<(), Complaint> {
    kept.clear();
    let default_port = DefaultPort::of(fields.known(Known::Scheme).unwrap_or_default());
    for index in 0..fields.len() {
        let is_changed = match fields.known_at(index) {
            // An empty `:path` is malformed (RFC 9114 §4.3.1), unlike an empty path of a URL.
            Known::Path if !fields.at(index).value.is_empty() => {
                let is_changed = path_and_kept(fields.at(index).value, rules, text, kept)?;
                if !is_changed || kept == text {
                    kept.clear();
                }
                is_changed
            }
            Known::Authority | Known::Host => authority(fields.at(index).value, default_port, text)?,
            _ => continue,
        };
        if is_changed {
            fields.replace(index, text);
        }
    }
    Ok(())
}
