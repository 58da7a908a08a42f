//! A scripted server: a thread that listens on a port of its own and runs the test's script on each
//! connection, with blocking sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::http::fields::Fields;
use crate::http::hpack::{Decoder, Encoder};
use crate::http::section::FieldLimits;

pub struct Peer {
    pub address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Serves one connection after another, as many as there are scripts.
    pub fn serve<F: FnMut(usize, TcpStream) + Send + 'static>(connections: usize, mut script: F) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for number in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                stream.set_nodelay(true).unwrap();
                script(number, stream);
            }
        });
        Peer { address, thread: Some(thread) }
    }

    /// Serves HTTP/2 after the preface and SETTINGS.
    pub fn serve_h2<F: FnMut(usize, &mut Wire) + Send + 'static>(connections: usize, mut script: F) -> Peer {
        Peer::serve(connections, move |number, stream| {
            let mut wire = Wire::new(stream);
            wire.greet(&[]);
            script(number, &mut wire);
        })
    }

    /// Waits until the script is done; its panics become the test's.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// One HTTP/2 connection, the server's side.
pub struct Wire {
    pub stream: TcpStream,
    encoder: Encoder,
    decoder: Decoder,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Wire {
        Wire { stream, encoder: Encoder::new(4096), decoder: Decoder::new(4096) }
    }

    /// Reads the preface and sends SETTINGS.
    pub fn greet(&mut self, settings: &[(u16, u32)]) {
        self.read_preface();
        self.settings(settings);
    }

    pub fn read_preface(&mut self) {
        let mut preface = [0; 24];
        self.stream.read_exact(&mut preface).unwrap();
        assert_eq!(&preface[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    }

    pub fn settings(&mut self, settings: &[(u16, u32)]) {
        let payload: Vec<u8> = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()).collect();
        self.write(SETTINGS, 0, 0, &payload);
    }

    pub fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let _ = self.stream.write_all(&frame(kind, flags, stream, payload));
    }

    /// The next frame; none when the client closed.
    pub fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload })
    }

    /// The next frame of a kind, others skipped; none when the client closed.
    pub fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.read()?;
            if frame.kind == kind && !(kind == SETTINGS && frame.flags & ACK != 0) {
                return Some(frame);
            }
        }
    }

    /// The next request: its stream and its fields.
    pub fn request(&mut self) -> (u32, Vec<(String, String)>) {
        self.try_request().expect("a request")
    }

    /// The same; none when the client closed.
    pub fn try_request(&mut self) -> Option<(u32, Vec<(String, String)>)> {
        let frame = self.next(HEADERS)?;
        let mut fields = Fields::new();
        self.decoder.decode(&frame.payload, &mut fields, FieldLimits { max_size: 65_536, max_count: 100, max_crumbs: 100 }).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((frame.stream, fields.iter().map(|f| (text(f.name), text(f.value))).collect()))
    }

    pub fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut list = Fields::new();
        for (name, value) in fields {
            list.push(name.as_bytes(), value.as_bytes());
        }
        let mut block = Vec::new();
        self.encoder.encode(&list, &mut block);
        block
    }

    pub fn headers(&mut self, stream: u32, fields: &[(&str, &str)], is_end: bool) {
        let block = self.block(fields);
        self.write(HEADERS, END_HEADERS | if is_end { END_STREAM } else { 0 }, stream, &block);
    }

    pub fn data(&mut self, stream: u32, bytes: &[u8], is_end: bool) {
        self.write(DATA, if is_end { END_STREAM } else { 0 }, stream, bytes);
    }

    pub fn answer(&mut self, stream: u32, body: &[u8]) {
        self.headers(stream, &[(":status", "200")], false);
        self.data(stream, body, true);
    }

    /// Code of the GOAWAY that ends the connection; frames before it are skipped.
    pub fn goodbye(&mut self) -> Option<u32> {
        self.next(GOAWAY).map(|frame| u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()))
    }

    /// Code of the next RST_STREAM.
    pub fn reset(&mut self) -> Option<(u32, u32)> {
        self.next(RST_STREAM).map(|frame| (frame.stream, u32::from_be_bytes(frame.payload[..4].try_into().unwrap())))
    }

    /// Reads until the client closes.
    pub fn drain(&mut self) {
        while self.read().is_some() {}
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub fn goaway(last: u32, code: u32) -> Vec<u8> {
    [last.to_be_bytes(), code.to_be_bytes()].concat()
}
