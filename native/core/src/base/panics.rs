//! Panics end what they happened in, not the process: whoever owns something that can be given up
//! runs its work under a [`guard`], ends it when that panics, and says so with a [`report`].
//!
//! Guards nest: a connection's within its session's within its shard's. What an inner one did not
//! catch reaches the next. Work on what belongs to the whole shard, done on behalf of one
//! connection, holds a [`OfShard`], and its panic passes the inner guards by.

use super::series::series;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook};
use std::sync::{Mutex, PoisonError};

series! {
    /// What a panic ended.
    Owner {
        /// A client's connection.
        Connection = "connection",
        /// A session to a backend.
        Session = "session",
        /// All of a shard.
        Shard = "shard",
    }
}

impl Owner {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        Owner::VALUES[self as usize]
    }
}

/// Something panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// A panic for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Shard it happened in.
    pub shard: u8,
    /// What it ended.
    pub owner: Owner,
    /// File, line and column.
    pub place: String,
    /// What it said.
    pub message: String,
}

/// Reports kept for the log. Who can make one panic can make many: the counter has them all.
const KEPT: usize = 64;

/// Longest message kept: it may hold a peer's bytes.
const MESSAGE_BYTES: usize = 256;

static REPORTS: Mutex<VecDeque<Report>> = Mutex::new(VecDeque::new());

thread_local! {
    /// Place and message of the thread's last panic.
    static LAST: RefCell<(String, String)> = const { RefCell::new((String::new(), String::new())) };
    /// A callback has panicked under foreign code.
    static IS_HELD: Cell<bool> = const { Cell::new(false) };
    /// A panic is under way and not caught yet.
    static IS_UNDER_WAY: Cell<bool> = const { Cell::new(false) };
    /// The panic under way is the shard's.
    static IS_OF_SHARD: Cell<bool> = const { Cell::new(false) };
}

/// Notes the place of every panic from now on, instead of writing it to standard error. One that
/// comes while another is under way ends the process, as Rust has it: both are written.
pub fn install() {
    set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let mut message = text_of(info.payload());
        let end = (0..=message.len().min(MESSAGE_BYTES)).rev().find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
        if IS_UNDER_WAY.replace(true) {
            let (first, said) = LAST.take();
            let _ = writeln!(std::io::stderr(), "panicked at {first}: {said}\nand meanwhile at {place}: {message}");
        }
        // A panic of this hook would end the process; the cell is borrowed nowhere else while
        // anything can panic.
        let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = (place, message)));
    }));
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no text").to_owned()
}

/// Runs something whose owner is given up if it panics. What it was given must not be used
/// afterwards but to be ended.
pub fn guard<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(_) if IS_HELD.replace(false) => Err(Panicked),
        Ok(value) => Ok(value),
        Err(payload) if IS_OF_SHARD.get() => resume_unwind(payload),
        Err(_) => {
            IS_UNDER_WAY.set(false);
            Err(Panicked)
        }
    }
}

/// As [`guard`], for a whole shard: no panic goes further.
pub fn guard_shard<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    let result = catch_unwind(AssertUnwindSafe(run)).map_err(|_| Panicked);
    IS_UNDER_WAY.set(false);
    IS_OF_SHARD.set(false);
    IS_HELD.set(false);
    result
}

/// While it lives, a panic is the shard's.
pub struct OfShard;

impl Drop for OfShard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            IS_OF_SHARD.set(true);
        }
    }
}

/// Runs what foreign code calls, through which no panic may pass: it is held, the caller gets
/// `fallback`, and the guard further up has a panic once the foreign code returns.
pub fn callback<T>(fallback: T, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        IS_UNDER_WAY.set(false);
        IS_HELD.set(true);
        fallback
    })
}

/// Puts the thread's last panic on the list for the log.
pub fn report(shard: u8, owner: Owner) {
    let (place, message) = LAST.take();
    let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    if reports.len() < KEPT {
        reports.push_back(Report { shard, owner, place, message });
    }
}

/// Takes the list.
pub fn take_reports() -> Vec<Report> {
    REPORTS.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}

/// Panics that tests plant: armed by name, they strike once, where the thread next passes the place
/// of that name. Only builds with debug assertions have them, which releases are not.
pub mod plant {
    #[cfg(debug_assertions)]
    thread_local! {
        static ARMED: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
    }

    /// Places.
    pub const PLACES: [&str; 9] = ["accept", "receive", "process", "send", "certificate", "response", "session", "pool", "turn"];

    /// Arms a place; false for a name that is none, or in a build without.
    pub fn arm(name: &str) -> bool {
        let place = PLACES.into_iter().find(|place| *place == name);
        #[cfg(debug_assertions)]
        ARMED.set(place);
        place.is_some() && cfg!(debug_assertions)
    }

    /// A place.
    #[inline(always)]
    #[track_caller]
    pub fn here(name: &'static str) {
        #[cfg(debug_assertions)]
        if ARMED.get() == Some(name) {
            ARMED.set(None);
            panic!("planted in {name}");
        }
        let _ = name;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_under_foreign_code_is_one_of_the_guard_above_it() {
        let reached = Cell::new(false);
        let result = guard(|| {
            let answer = callback(7, || panic!("within"));
            reached.set(answer == 7);
        });
        assert_eq!((result, reached.get()), (Err(Panicked), true));
        assert_eq!(guard(|| 1), Ok(1), "once");
    }

    #[test]
    fn a_panic_of_what_the_shard_owns_passes_the_inner_guards() {
        let outer = guard_shard(|| {
            guard(|| {
                let _of = OfShard;
                panic!("the pool's");
            })
        });
        assert_eq!(outer, Err(Panicked));
        assert_eq!(guard_shard(|| guard(|| panic!("a connection's"))), Ok(Err::<(), _>(Panicked)));
    }
}
