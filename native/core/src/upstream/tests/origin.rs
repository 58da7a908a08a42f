//! An HTTP/1.1 server with a thread for each connection, for as long as the test runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex};

use super::driver::config;
use crate::upstream::{BackendConfig, Scheme};

/// The server. Requests to `/hold…` wait for a permit each.
pub struct Origin {
    pub address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    accepted: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    paths: Mutex<Vec<String>>,
    permits: Mutex<usize>,
    permitted: Condvar,
}

impl Origin {
    /// `greet` makes a connection's own answers: a whole response for the text of each request.
    pub fn start<A: FnMut(&str) -> String>(greet: impl Fn() -> A + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, log) = (listener.local_addr().unwrap(), Arc::new(Log::default()));
        let (shared, greet) = (log.clone(), Arc::new(greet));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, greet) = (shared.clone(), greet.clone());
                std::thread::spawn(move || {
                    log.accepted.fetch_add(1, SeqCst);
                    log.most_open.fetch_max(log.open.fetch_add(1, SeqCst) + 1, SeqCst);
                    serve(stream.unwrap(), greet(), &log);
                    log.open.fetch_sub(1, SeqCst);
                });
            }
        });
        Origin { address, log }
    }

    /// The server as a backend that may have `max` sessions.
    pub fn config(&self, max: u32) -> BackendConfig {
        let mut backend = config(0, Scheme::Http, self.address);
        backend.limits.max_sessions = max;
        backend
    }

    pub fn accepted(&self) -> usize {
        self.log.accepted.load(SeqCst)
    }

    pub fn open(&self) -> usize {
        self.log.open.load(SeqCst)
    }

    pub fn most_open(&self) -> usize {
        self.log.most_open.load(SeqCst)
    }

    /// Paths of the requests so far.
    pub fn paths(&self) -> Vec<String> {
        self.log.paths.lock().unwrap().clone()
    }

    /// Lets `count` held requests be answered.
    pub fn permit(&self, count: usize) {
        *self.log.permits.lock().unwrap() += count;
        self.log.permitted.notify_all();
    }

    /// Lets all of them be answered, and all to come.
    pub fn permit_all(&self) {
        self.permit(usize::MAX / 2);
    }
}

fn serve(mut stream: TcpStream, mut answer: impl FnMut(&str) -> String, log: &Log) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer)
        && count > 0
    {
        bytes.extend_from_slice(&buffer[..count]);
        if !bytes.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut bytes)).unwrap();
        let path = text.split(' ').nth(1).unwrap();
        log.paths.lock().unwrap().push(path.to_owned());
        if path.starts_with("/hold") {
            *log.permitted.wait_while(log.permits.lock().unwrap(), |permits| *permits == 0).unwrap() -= 1;
        }
        let _ = stream.write_all(answer(&text).as_bytes());
    }
}
