//! SIGUSR2 in the first moments of a process. Node gives signals that were ignored when it began
//! their default action back, which for this one is the end of the process, and the first line of
//! JavaScript that could say otherwise runs tens of milliseconds later. A handler that is there
//! already it leaves alone. So `bin/lychgate` ignores the signal and has the addon loaded before
//! the program (LD_PRELOAD), and the addon turns "ignored" into a handler that does nothing.

use std::ffi::c_int;
use std::{mem, ptr};

#[used]
#[unsafe(link_section = ".init_array")]
static HOLD: extern "C" fn() = hold;

/// Runs when the addon is loaded. Later in the life of a process the signal is not ignored but has
/// libuv's handler, and nothing happens here.
extern "C" fn hold() {
    // SAFETY: plain structures, initialised before they are used; the handler touches nothing.
    unsafe {
        let mut found: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGUSR2, ptr::null(), &mut found) != 0 || found.sa_sigaction != libc::SIG_IGN {
            return;
        }
        let mut held: libc::sigaction = mem::zeroed();
        held.sa_sigaction = pass_over as *const () as usize;
        held.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGUSR2, &held, ptr::null_mut());
    }
}

extern "C" fn pass_over(_signal: c_int) {}
