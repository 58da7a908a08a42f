//! Compiled plans: a lane names one by number, and the relay applies it without further look-ups.
//!
//! A plan edits the request head on its way to the backend and the response head on its way back,
//! and lists the responses that are held for the lane. Edits apply in order, and a later one
//! overrides an earlier one on the same field. Variables and lists to append to always read the
//! original head, never the result of an earlier edit. Conflicts are resolved when the plan is
//! compiled ([`Edits::new`]).

mod edit;
mod holds;
mod value;

pub use edit::{Edit, Operation};
pub use holds::Holds;
pub use value::Values;

use crate::http::characters::{is_authority, is_path, is_value};
use crate::http::fields::{Field, Fields, Known};
use std::sync::Arc;

/// A numbered plan of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Edits of the request head.
    pub request: Edits,
    /// Edits of the response head.
    pub response: Edits,
    /// Statuses of responses that are held.
    pub holds: Holds,
    /// Whether a backend gets the canonical path instead of the client's own spelling.
    pub is_path_canonical: bool,
    /// What becomes of names with an underscore in a request's trailers. Of the head's the lane
    /// decides, but nobody is asked about trailers.
    pub underscores: Underscores,
}

impl Plan {
    /// Builds a plan. The error is a sentence.
    pub fn new(request: Edits, response: Edits, hold_statuses: &[u32], hold_grpc: &[u32]) -> Result<Plan, String> {
        Ok(Plan { request, response, holds: Holds::new(hold_statuses, hold_grpc)?, ..Plan::default() })
    }

    /// Whether a response of this status is held for the lane.
    #[inline]
    pub fn holds(&self, status: u16) -> bool {
        self.holds.status(status)
    }

    /// Removes from a request's trailers what would not have passed in its head. None where it is
    /// malformed for them.
    pub fn strip_request_trailers(&self, trailers: &mut Fields) -> Option<Stripped> {
        let before = trailers.len();
        let is_met = |field: &Field<'_>, spared: &[Vec<u8>]| field.name.contains(&b'_') && !spared.iter().any(|name| name == field.name);
        match &self.underscores {
            Underscores::Pass => {}
            Underscores::Drop(spared) => trailers.retain(|field| !is_met(&field, spared)),
            Underscores::Refuse(spared) if trailers.iter().any(|field| is_met(&field, spared)) => return None,
            Underscores::Refuse(_) => {}
        }
        let underscores = (before - trailers.len()) as u64;
        Some(Stripped { edited: self.request.strip(trailers), underscores })
    }

    /// Whether a response with this gRPC status in its head is held for the lane.
    #[inline]
    pub fn holds_grpc(&self, status: u32) -> bool {
        self.holds.grpc(status)
    }
}

/// What becomes of fields whose names have an underscore: `claims.underscores` and the names that
/// pass all the same.
#[derive(Clone, Debug, Default)]
pub enum Underscores {
    /// The fields are passed on.
    #[default]
    Pass,
    /// The fields are removed.
    Drop(Vec<Vec<u8>>),
    /// The message is malformed.
    Refuse(Vec<Vec<u8>>),
}

impl Underscores {
    /// Compiles the configured policy; `spared` names always pass. The error is a sentence.
    pub fn compile(policy: &str, spared: &[String]) -> Result<Underscores, String> {
        let spared = || spared.iter().map(|name| name.clone().into_bytes()).collect();
        match policy {
            "pass" => Ok(Underscores::Pass),
            "drop" => Ok(Underscores::Drop(spared())),
            "refuse" => Ok(Underscores::Refuse(spared())),
            other => Err(format!("{other} is nothing to do with underscores: expected pass, drop or refuse")),
        }
    }
}

/// Number of trailer fields removed, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripped {
    /// Edits of the head remove or set the name.
    pub edited: u64,
    /// The name has an underscore.
    pub underscores: u64,
}

/// Edits of one head. `mask` has a bit for each [`Known`] that an edit names, so most fields pass
/// with one test. Regular fields are matched against globs and patterns only if there are any.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    edits: Vec<Arc<Edit>>,
    mask: u64,
    of_many: Vec<Arc<Edit>>,
}

impl Edits {
    /// Bundles edits, to be applied in order. Drops what a later edit overrides: a field that is
    /// set or removed afterwards is not written. If the client's lines are gone or already joined,
    /// an append writes a line of its own, which means the same (RFC 9110 §5.3). An edit that needs
    /// no change stays shared, because a thousand plans may differ by one or two edits.
    pub fn new(edits: impl IntoIterator<Item = impl Into<Arc<Edit>>>) -> Edits {
        let mut edits: Vec<Arc<Edit>> = edits.into_iter().map(Into::into).collect();
        for place in 0..edits.len() {
            let (before, rest) = edits.split_at_mut(place);
            let Some((edit, after)) = rest.split_first_mut() else { break };
            if edit.known().is_pseudo() {
                continue;
            }
            let is_undone = after.iter().any(|later| later.replaces(edit.known(), edit.name()));
            let is_gone = before.iter().any(|earlier| earlier.takes(edit.known(), edit.name()));
            if is_undone || is_gone {
                Arc::make_mut(edit).settle(is_undone, is_gone);
            }
        }
        let mask = edits.iter().fold(0, |mask, edit| mask | edit.mask());
        let of_many = edits.extract_if(.., |edit| edit.is_of_many()).collect();
        Edits { edits, mask, of_many }
    }

    /// Whether a field is replaced, extended or removed, and so must not be copied as it is.
    #[inline]
    fn takes(&self, field: Field<'_>) -> bool {
        let is_in = |edits: &[Arc<Edit>]| edits.iter().any(|edit| edit.takes(field.known, field.name));
        self.mask >> field.known as u8 & 1 == 1 && is_in(&self.edits) || is_in(&self.of_many)
    }

    /// Whether an edit removes or sets the field, so that the original is gone from the head.
    pub(super) fn replaces(&self, field: Field<'_>) -> bool {
        let is_in = |edits: &[Arc<Edit>]| edits.iter().any(|edit| edit.replaces(field.known, field.name));
        self.mask >> field.known as u8 & 1 == 1 && is_in(&self.edits) || is_in(&self.of_many)
    }

    /// Whether trailers have a field that [`Edits::strip`] removes.
    pub fn strips(&self, trailers: &Fields) -> bool {
        trailers.iter().any(|field| self.replaces(field))
    }

    /// Removes from trailers the names that the edits remove from the head or set there: what may
    /// not be said before the body may not be said behind it. Returns how many fields went.
    pub fn strip(&self, trailers: &mut Fields) -> u64 {
        let before = trailers.len();
        trailers.retain(|field| !self.replaces(field));
        (before - trailers.len()) as u64
    }

    /// Emits the fields of `head` with the edits applied. Pseudo-header fields stay in place, new
    /// fields come last.
    pub fn apply(&self, head: &Fields, values: &Values<'_>, scratch: &mut Vec<u8>, mut emit: impl FnMut(Known, &[u8], &[u8])) {
        for field in head.iter() {
            if !self.takes(field) {
                emit(field.known, field.name, field.value);
            } else if field.known.is_pseudo() {
                let value = if self.pseudo(field.known, field.value, values, scratch) { &scratch[..] } else { field.value };
                emit(field.known, field.name, value);
            }
        }
        for edit in self.edits.iter().filter(|edit| edit.writes()) {
            scratch.clear();
            if edit.operation() == Operation::Append {
                write_lines(head, edit, scratch);
            }
            edit.value().write(values, scratch);
            let value = trim(scratch);
            if !value.is_empty() && value.len() <= u16::MAX as usize && is_value(value) {
                emit(edit.known(), edit.name(), value);
            }
        }
    }

    /// Writes the new `:authority` or `:path` to `scratch`. Returns false, with `scratch`
    /// undefined, if it stays as the client sent it. The last edit with a valid result wins.
    pub fn pseudo(&self, known: Known, value: &[u8], values: &Values<'_>, scratch: &mut Vec<u8>) -> bool {
        let is_fit = if known == Known::Path { is_path } else { is_authority };
        self.edits.iter().rev().filter(|edit| edit.known() == known).any(|edit| {
            scratch.clear();
            edit.write_pseudo(value, values, scratch) && scratch.len() <= u16::MAX as usize && is_fit(scratch)
        })
    }
}

/// Trims white space, which an empty variable may leave at either end (RFC 9110 §5.5).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Writes the lines of the field that an edit appends to, as the beginning of a list.
fn write_lines(head: &Fields, edit: &Edit, out: &mut Vec<u8>) {
    for field in head.iter().filter(|field| edit.takes(field.known, field.name) && !field.value.is_empty()) {
        out.extend_from_slice(field.value);
        out.extend_from_slice(b", ");
    }
}

#[cfg(test)]
mod tests;
