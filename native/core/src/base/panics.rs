//! A panic ends what it happened in, not the process. The owner of something expendable runs its
//! work under a [`guard`], ends it after a panic, and files a [`report`].
//!
//! Guards nest: what an inner one does not catch reaches the next, up to the shard's. Work on state
//! of the whole shard, done on behalf of one connection, holds an [`OfShard`]: its panic passes the
//! inner guards.

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
        /// The whole shard.
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
    /// Its message.
    pub message: String,
}

/// Reports kept for the log. A peer that can cause one panic can cause many; the counter has them
/// all.
const KEPT: usize = 64;

/// Longest message kept. It may contain a peer's bytes.
const MESSAGE_BYTES: usize = 256;

static REPORTS: Mutex<VecDeque<Report>> = Mutex::new(VecDeque::new());

thread_local! {
    /// Location and message of the thread's last panic.
    static LAST: RefCell<(String, String)> = const { RefCell::new((String::new(), String::new())) };
    /// A callback panicked under foreign code.
    static IS_HELD: Cell<bool> = const { Cell::new(false) };
    /// A panic is not caught yet.
    static IS_UNDER_WAY: Cell<bool> = const { Cell::new(false) };
    /// That panic is the shard's.
    static IS_OF_SHARD: Cell<bool> = const { Cell::new(false) };
}

/// Records the location of every panic from now on instead of writing it to standard error. A panic
/// during another aborts the process, as in all of Rust; both are written then.
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
        // A panic of this hook would abort the process. The cell is borrowed nowhere else while
        // anything can panic.
        let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = (place, message)));
    }));
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no text").to_owned()
}

/// Runs something whose owner is given up if it panics. After a panic, what it used may only be
/// ended.
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

/// A panic while this lives is the shard's.
pub struct OfShard;

impl Drop for OfShard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            IS_OF_SHARD.set(true);
        }
    }
}

/// Runs a callback of foreign code, through which no panic may pass: the panic is held, the caller
/// gets `fallback`, and the guard above panics once the foreign code returns.
pub fn callback<T>(fallback: T, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        IS_UNDER_WAY.set(false);
        IS_HELD.set(true);
        fallback
    })
}

/// Files the thread's last panic for the log.
pub fn report(shard: u8, owner: Owner) {
    let (place, message) = LAST.take();
    let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    if reports.len() < KEPT {
        reports.push_back(Report { shard, owner, place, message });
    }
}

/// Takes the reports.
pub fn take_reports() -> Vec<Report> {
    REPORTS.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}

/// Failpoints of tests: armed by name, one panics once, the next time the thread passes it. Only
/// builds with debug assertions have them; releases do not.
pub mod plant {
    #[cfg(debug_assertions)]
    thread_local! {
        static ARMED: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
    }

    /// Names of the failpoints.
    pub const POINTS: [&str; 9] = ["accept", "receive", "process", "send", "certificate", "response", "session", "pool", "turn"];

    /// Arms a failpoint; false for an unknown name, or in a build without them.
    pub fn arm(name: &str) -> bool {
        let point = POINTS.into_iter().find(|point| *point == name);
        #[cfg(debug_assertions)]
        ARMED.set(point);
        point.is_some() && cfg!(debug_assertions)
    }

    /// A failpoint.
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
