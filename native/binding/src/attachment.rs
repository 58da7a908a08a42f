//! A worker drives a reactor: libuv polls the reactor's epoll descriptor, and a turn calls the lane
//! back.
//!
//! The attachment lives in memory of its own until its poll handle is closed: by [`detach`], or,
//! when the worker dies, by an asynchronous cleanup hook of its environment, without which Node
//! would find an open handle in a loop it wants to close, and abort. The reactor itself goes on
//! living in `shards`.

use crate::shards::{self, Shard};
use crate::{failure, uv};
use lychgate_core::base::panics;
use lychgate_core::reactor::LaneCall;
use lychgate_core::record::layout::MEMORY_BYTES;
use napi::bindgen_prelude::*;
use napi::sys;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;

struct Attachment {
    shard: Arc<Shard>,
    number: u32,
    env: sys::napi_env,
    decide: sys::napi_ref,
    poll: Option<uv::Poll>,
    hook: sys::napi_async_cleanup_hook_handle,
    is_closing: bool,
    /// The lane failed: nothing is decided here any more, a successor will.
    is_dead: bool,
}

thread_local! {
    static ATTACHED: Cell<*mut Attachment> = const { Cell::new(ptr::null_mut()) };
}

/// Puts a reactor on this thread's loop.
pub fn attach<'env>(env: &'env Env, number: u32, decide: Function<'env, (), ()>) -> Result<Unknown<'env>> {
    let shard = shards::find(number)?;
    if !ATTACHED.get().is_null() {
        return Err(failure("this worker has a reactor already"));
    }
    if shard.is_attached.swap(true, AcqRel) {
        return Err(failure(format!("shard {number} is attached to another worker")));
    }
    let attached = install(env, number, &shard, decide);
    if attached.is_err() {
        shard.is_attached.store(false, Release);
    }
    attached
}

fn install<'env>(env: &'env Env, number: u32, shard: &Arc<Shard>, decide: Function<'env, (), ()>) -> Result<Unknown<'env>> {
    let (fd, memory) = shard.enter(|reactor| {
        reactor.take_over();
        (reactor.fd(), reactor.region())
    })?;
    shard.is_renewed.store(false, Release);
    let raw = env.raw();
    let attachment = Box::into_raw(Box::new(Attachment {
        shard: shard.clone(),
        number,
        env: raw,
        decide: ptr::null_mut(),
        poll: None,
        hook: ptr::null_mut(),
        is_closing: false,
        is_dead: false,
    }));
    // SAFETY: on the environment's thread; every status is checked; the attachment outlives the
    // handle and the hook.
    unsafe {
        let mut event_loop = ptr::null_mut();
        let mut ring = ptr::null_mut();
        check(sys::napi_get_uv_event_loop(raw, &mut event_loop))?;
        check(sys::napi_create_external_arraybuffer(raw, memory.cast(), MEMORY_BYTES, None, ptr::null_mut(), &mut ring))?;
        check(sys::napi_create_reference(raw, decide.raw(), 1, &mut (*attachment).decide))?;
        check(sys::napi_add_async_cleanup_hook(raw, Some(on_cleanup), attachment.cast(), &mut (*attachment).hook))?;
        let poll = uv::Poll::start(event_loop, fd, attachment.cast(), on_poll);
        (*attachment).poll = Some(poll.map_err(|status| failure(format!("libuv refuses the reactor's descriptor: {status}")))?);
        ATTACHED.set(attachment);
        Unknown::from_napi_value(raw, ring)
    }
}

/// Takes the reactor off this thread's loop.
pub fn detach(number: u32) -> Result<()> {
    let attachment = ATTACHED.get();
    // SAFETY: the pointer is this thread's and valid until its handle is closed, which resets it.
    match unsafe { attachment.as_mut() } {
        Some(attachment) if attachment.number == number => {
            attachment.close();
            Ok(())
        }
        _ => Err(failure(format!("shard {number} is not attached to this worker"))),
    }
}

impl Attachment {
    fn close(&mut self) {
        if self.is_closing {
            return;
        }
        self.is_closing = true;
        if let Some(poll) = &mut self.poll {
            // SAFETY: on the loop's thread, once.
            unsafe { poll.close(on_closed) };
        }
    }

    fn turn(&mut self) {
        let shard = self.shard.clone();
        // A turn inside a turn cannot be: libuv does not nest. A panic is told below.
        let _ = shard.enter(|reactor| reactor.turns(|| self.call_lane()));
        if !self.is_dead && shard.is_renewed.load(Acquire) {
            self.is_dead = true;
            // SAFETY: on the environment's thread, outside of any call of JavaScript.
            unsafe { self.end_worker() };
        }
    }

    /// The worker knows a reactor that is no more: an uncaught error ends it, whoever of it met the
    /// panic.
    unsafe fn end_worker(&self) {
        const MESSAGE: &str = "the reactor panicked and began anew";
        // SAFETY: the caller's; what fails leaves a worker that calls no lane, which the supervisor
        // sees to.
        unsafe {
            let (mut scope, mut text, mut error) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
            if sys::napi_open_handle_scope(self.env, &mut scope) != sys::Status::napi_ok {
                return;
            }
            if sys::napi_create_string_utf8(self.env, MESSAGE.as_ptr().cast(), MESSAGE.len() as isize, &mut text) == sys::Status::napi_ok
                && sys::napi_create_error(self.env, ptr::null_mut(), text, &mut error) == sys::Status::napi_ok
            {
                sys::napi_fatal_exception(self.env, error);
            }
            sys::napi_close_handle_scope(self.env, scope);
        }
    }

    fn call_lane(&mut self) -> LaneCall {
        // A lane that began before the reactor did knows exchanges that are no more.
        if self.is_dead || self.shard.is_renewed.load(Relaxed) {
            return LaneCall::Failed;
        }
        self.shard.set_busy(true);
        // SAFETY: on the environment's thread, within a scope of handles.
        let is_done = unsafe { self.call_decide() };
        self.shard.set_busy(false);
        self.is_dead = !is_done;
        if is_done { LaneCall::Done } else { LaneCall::Failed }
    }

    unsafe fn call_decide(&mut self) -> bool {
        // SAFETY: the caller's; statuses are checked, an exception becomes the worker's uncaught
        // one.
        unsafe {
            let mut scope = ptr::null_mut();
            if sys::napi_open_handle_scope(self.env, &mut scope) != sys::Status::napi_ok {
                return false;
            }
            let (mut decide, mut global, mut result) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
            sys::napi_get_reference_value(self.env, self.decide, &mut decide);
            sys::napi_get_global(self.env, &mut global);
            let status = sys::napi_make_callback(self.env, ptr::null_mut(), global, decide, 0, ptr::null(), &mut result);
            if status == sys::Status::napi_pending_exception {
                let mut exception = ptr::null_mut();
                if sys::napi_get_and_clear_last_exception(self.env, &mut exception) == sys::Status::napi_ok {
                    sys::napi_fatal_exception(self.env, exception);
                }
            }
            sys::napi_close_handle_scope(self.env, scope);
            status == sys::Status::napi_ok
        }
    }
}

// libuv and Node call these: no panic may pass through them. What a panic leaves undone here is a
// worker without a reactor, or memory.

extern "C" fn on_poll(handle: *mut uv::Handle, _status: c_int, _events: c_int) {
    let _ = panics::guard_shard(|| {
        // SAFETY: the handle's data is its attachment.
        let attachment = unsafe { &mut *uv::data(handle).cast::<Attachment>() };
        if !attachment.is_closing {
            attachment.turn();
        }
    });
}

extern "C" fn on_closed(handle: *mut uv::Handle) {
    let _ = panics::guard_shard(|| {
        // SAFETY: the last call for this handle; nobody else holds the attachment.
        unsafe {
            let attachment = Box::from_raw(uv::data(handle).cast::<Attachment>());
            ATTACHED.set(ptr::null_mut());
            if !attachment.decide.is_null() {
                sys::napi_delete_reference(attachment.env, attachment.decide);
            }
            attachment.shard.is_attached.store(false, Release);
            sys::napi_remove_async_cleanup_hook(attachment.hook);
        }
    });
}

unsafe extern "C" fn on_cleanup(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: registered with the attachment, removed when it goes.
    let _ = panics::guard_shard(|| unsafe { (*data.cast::<Attachment>()).close() });
}

fn check(status: sys::napi_status) -> Result<()> {
    if status == sys::Status::napi_ok { Ok(()) } else { Err(failure(format!("Node refuses: status {status}"))) }
}
