//! One edit of a head: what it does, to which fields, with which value.

use super::value::{Value, Values};
use crate::http::characters::is_token;
use crate::http::fields::Known;
use crate::http::normal::behind_segments;
use regex::bytes::{Regex, RegexBuilder};

/// Limit on the memory of a compiled pattern and of its cache. Patterns in a configuration are
/// bounded in length and have no counted repetition, so they need far less.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// What an edit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Replaces all fields of the name with one.
    Set,
    /// Adds another field.
    Add,
    /// Appends to the list in the field, or sets the field if it is missing.
    Append,
    /// Removes all fields of the name.
    Remove,
    /// Replaces a prefix of the path.
    Prefix,
}

/// Which fields an edit applies to.
#[derive(Clone, Debug)]
enum Names {
    /// The field of this name.
    One,
    /// Fields whose names match a glob.
    Glob,
    /// Fields whose whole names match a pattern, case-insensitively.
    Pattern(Box<Regex>),
}

/// One edit.
#[derive(Clone, Debug)]
pub struct Edit {
    operation: Operation,
    name: Vec<u8>,
    known: Known,
    names: Names,
    is_undone: bool,
    value: Value,
    prefix: Vec<u8>,
    /// Number of segments in the prefix.
    segments: usize,
    /// Names that the glob does not apply to.
    spared: Vec<Vec<u8>>,
}

impl Edit {
    /// Compiles an edit. `prefix` is the prefix that a `prefix` edit replaces. The value of a
    /// removal by glob lists the names to keep, separated by commas. The error is a sentence.
    pub fn compile(operation: &str, name: &str, value: &str, prefix: &str) -> Result<Edit, String> {
        let operation = match operation {
            "set" => Operation::Set,
            "add" => Operation::Add,
            "append" => Operation::Append,
            "remove" => Operation::Remove,
            "remove-regex" => return Edit::removing(name),
            "prefix" => Operation::Prefix,
            other => return Err(format!("{other} is no edit: expected set, add, append, remove, remove-regex or prefix")),
        };
        let name = name.to_ascii_lowercase().into_bytes();
        let known = Known::of(&name);
        let is_glob = operation == Operation::Remove && name.contains(&b'*');
        check_name(operation, known, &name)?;
        let prefix = prefix.as_bytes().strip_suffix(b"/").unwrap_or(prefix.as_bytes()).to_vec();
        if operation == Operation::Prefix && !(prefix.is_empty() || prefix.starts_with(b"/")) {
            return Err(format!("{} does not begin a path", String::from_utf8_lossy(&prefix)));
        }
        let spared = if is_glob { value.split(',').map(|name| name.as_bytes().to_vec()).collect() } else { Vec::new() };
        let names = if is_glob { Names::Glob } else { Names::One };
        let segments = prefix.iter().filter(|&&byte| byte == b'/').count();
        Ok(Edit { operation, name, known, names, is_undone: false, value: Value::compile(value)?, prefix, segments, spared })
    }

    /// Removes all fields whose names match the pattern.
    fn removing(pattern: &str) -> Result<Edit, String> {
        let compiled = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
            .unicode(false)
            .case_insensitive(true)
            .size_limit(MAX_PATTERN_BYTES)
            .dfa_size_limit(MAX_PATTERN_BYTES)
            .build()
            .map_err(|error| format!("{pattern} is no pattern of field names: {error}"))?;
        Ok(Edit {
            operation: Operation::Remove,
            name: pattern.as_bytes().to_vec(),
            known: Known::Other,
            names: Names::Pattern(Box::new(compiled)),
            is_undone: false,
            value: Value::compile("")?,
            prefix: Vec::new(),
            segments: 0,
            spared: Vec::new(),
        })
    }

    /// The operation.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// Name of the field, the glob, or the pattern.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The name as a known one.
    pub fn known(&self) -> Known {
        self.known
    }

    /// Value that it writes.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether it applies to a glob or a pattern.
    pub(super) fn is_of_many(&self) -> bool {
        !matches!(self.names, Names::One)
    }

    /// Mask with the bit of its name.
    pub(super) fn mask(&self) -> u64 {
        match self.known {
            _ if self.is_of_many() => 0,
            Known::Other => 1 << Known::Other as u8 | 1 << Known::Sensitive as u8,
            known => 1 << known as u8,
        }
    }

    /// Whether it changes a field of this name.
    pub(super) fn takes(&self, known: Known, name: &[u8]) -> bool {
        self.operation != Operation::Add && self.matches(known, name)
    }

    /// Whether it drops what an earlier edit wrote under this name.
    pub(super) fn replaces(&self, known: Known, name: &[u8]) -> bool {
        matches!(self.operation, Operation::Set | Operation::Remove) && self.matches(known, name)
    }

    /// Whether it writes a regular field.
    pub(super) fn writes(&self) -> bool {
        !self.is_undone && self.operation != Operation::Remove && !self.known.is_pseudo()
    }

    /// Notes what the other edits of the plan do to its field.
    pub(super) fn settle(&mut self, is_undone: bool, is_gone: bool) {
        self.is_undone = is_undone;
        if is_gone && self.operation == Operation::Append {
            self.operation = Operation::Add;
        }
    }

    fn matches(&self, known: Known, name: &[u8]) -> bool {
        let is_named = match &self.names {
            Names::One => return self.known.covers(known) && self.name == name,
            Names::Glob => matches_glob(&self.name, name),
            Names::Pattern(pattern) => pattern.is_match(name),
        };
        // A glob or a pattern never means the fields that frame the message.
        is_named && !known.is_pseudo() && !is_framing(known) && !self.spared.iter().any(|spared| spared == name)
    }

    /// Writes the new value of a pseudo-header field. Returns false if the edit does not apply.
    pub(super) fn write_pseudo(&self, value: &[u8], values: &Values<'_>, out: &mut Vec<u8>) -> bool {
        if self.operation != Operation::Prefix {
            self.value.write(values, out);
            return true;
        }
        let Some(rest) = value.strip_prefix(&self.prefix[..]) else { return false };
        // Whole segments only: `/a` is not a prefix of `/ab`.
        if !matches!(rest.first(), None | Some(b'/' | b'?')) {
            return false;
        }
        // Only the prefix is replaced: the rest stays as the client spelled it.
        let rest = match values.kept_path {
            [] => rest,
            kept => behind_segments(kept, self.segments, values.are_slashes_merged),
        };
        self.value.write(values, out);
        if rest.first() == Some(&b'/') {
            while out.last() == Some(&b'/') {
                out.pop();
            }
        } else if out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(rest);
        true
    }
}

/// Rejects names that an edit may not have: fields that frame the message or belong to the
/// connection, and pseudo-header fields other than these two.
fn check_name(operation: Operation, known: Known, name: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(name);
    let is_editable = match (operation, known) {
        (Operation::Set, Known::Authority | Known::Path) | (Operation::Prefix, Known::Path) => true,
        (Operation::Prefix, _) => false,
        _ if known.is_pseudo() => false,
        (Operation::Remove, _) => true,
        _ => !is_framing(known),
    };
    let is_name = known.is_pseudo() || is_token(name);
    match (is_editable, is_name) {
        (true, true) => Ok(()),
        (_, false) => Err(format!("{text} is no field name")),
        _ if known == Known::Host => Err("host cannot be edited: the request's is :authority".to_owned()),
        _ => Err(format!("{text} cannot be edited")),
    }
}

fn is_framing(known: Known) -> bool {
    known.is_connection_specific() || matches!(known, Known::Host | Known::ContentLength)
}

/// Whether a name matches a glob, in which `*` stands for any text. The first piece must be at the
/// front, the last at the end, the others in order between them.
fn matches_glob(pattern: &[u8], name: &[u8]) -> bool {
    let Some(first) = pattern.iter().position(|&byte| byte == b'*') else { return pattern == name };
    let last = pattern.iter().rposition(|&byte| byte == b'*').unwrap_or(first);
    let (front, back) = (&pattern[..first], &pattern[last + 1..]);
    if name.len() < front.len() + back.len() || !name.starts_with(front) || !name.ends_with(back) {
        return false;
    }
    let mut rest = &name[front.len()..name.len() - back.len()];
    // Taking the leftmost match is safe, because it leaves the most room for the rest.
    for piece in pattern[first..last].split(|&byte| byte == b'*').filter(|piece| !piece.is_empty()) {
        let Some(at) = rest.windows(piece.len()).position(|window| window == piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}
