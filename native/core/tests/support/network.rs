//! A network of the test's own.

use std::process::Command;

/// The calling thread's loopback, in a namespace of its own, over which so many megabits pass in a
/// second: what is sent faster waits in the device's queue and fills the sockets it came from.
/// Threads and processes that the thread starts are in the namespace too.
pub struct Slow;

impl Slow {
    /// None, with a word about it, where the machine does not allow that.
    pub fn new(megabits: u32) -> Option<Slow> {
        // SAFETY: plain system call about this thread alone.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("passed over: no network namespace ({})", std::io::Error::last_os_error());
            return None;
        }
        let rate = format!("{megabits}mbit");
        let is_done = |program: &str, words: &[&str]| Command::new(program).args(words).status().is_ok_and(|status| status.success());
        let is_set = is_done("ip", &["link", "set", "lo", "up"])
            && is_done("tc", &["qdisc", "add", "dev", "lo", "root", "tbf", "rate", &rate, "burst", "128kb", "limit", "64mb"]);
        if !is_set {
            eprintln!("passed over: no queue for the loopback (ip and tc of iproute2, sch_tbf)");
        }
        is_set.then_some(Slow)
    }
}
