//! The few calls of libuv that put a descriptor on a worker's event loop. They resolve from the
//! node executable.

use std::ffi::{c_int, c_void};

/// A `uv_handle_t`, opaque.
#[repr(C)]
pub struct Handle {
    _opaque: [u8; 0],
}

/// A `uv_loop_t`, opaque.
pub type Loop = napi::sys::uv_loop_s;

/// `UV_POLL` of `uv_handle_type`.
const POLL: c_int = 8;
/// `UV_READABLE`.
pub const READABLE: c_int = 1;

unsafe extern "C" {
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_poll_init(event_loop: *mut Loop, handle: *mut Handle, fd: c_int) -> c_int;
    fn uv_poll_start(handle: *mut Handle, events: c_int, callback: extern "C" fn(*mut Handle, c_int, c_int)) -> c_int;
    fn uv_poll_stop(handle: *mut Handle) -> c_int;
    fn uv_close(handle: *mut Handle, callback: extern "C" fn(*mut Handle));
    fn uv_handle_set_data(handle: *mut Handle, data: *mut c_void);
    fn uv_handle_get_data(handle: *const Handle) -> *mut c_void;
}

/// A poll handle. Memory of its own, which must outlive its closing.
pub struct Poll {
    memory: Box<[u64]>,
}

impl Poll {
    /// Watches a descriptor for reading on a loop; `data` comes with each call.
    ///
    /// # Safety
    /// On the loop's thread. `data` must be valid until the handle is closed.
    pub unsafe fn start(
        event_loop: *mut Loop,
        fd: c_int,
        data: *mut c_void,
        callback: extern "C" fn(*mut Handle, c_int, c_int),
    ) -> Result<Poll, c_int> {
        // SAFETY: libuv says how much memory a handle needs; the calls are in its documented order.
        unsafe {
            let mut poll = Poll { memory: vec![0u64; uv_handle_size(POLL).div_ceil(8)].into_boxed_slice() };
            let status = uv_poll_init(event_loop, poll.handle(), fd);
            if status != 0 {
                return Err(status);
            }
            uv_handle_set_data(poll.handle(), data);
            match uv_poll_start(poll.handle(), READABLE, callback) {
                0 => Ok(poll),
                status => Err(status),
            }
        }
    }

    fn handle(&mut self) -> *mut Handle {
        self.memory.as_mut_ptr().cast()
    }

    /// Stops watching and closes; `callback` may free the memory.
    ///
    /// # Safety
    /// On the loop's thread, once.
    pub unsafe fn close(&mut self, callback: extern "C" fn(*mut Handle)) {
        // SAFETY: an initialised handle.
        unsafe {
            uv_poll_stop(self.handle());
            uv_close(self.handle(), callback);
        }
    }
}

/// What was given at start.
///
/// # Safety
/// `handle` must be one of [`Poll`]'s.
pub unsafe fn data(handle: *const Handle) -> *mut c_void {
    // SAFETY: as above.
    unsafe { uv_handle_get_data(handle) }
}
