//! What depends on the protocol in the state of one exchange: how far its request is read, and how
//! heads and bodies are encoded.
//!
//! Encoding changes nothing: what is encoded may be thrown away, as a held response is. A protocol
//! with a table that its encoder fills encodes without it, or when bytes leave.

use super::http3::reader::Reader;
#[cfg(test)]
use super::memory;
use crate::http::fields::{Fields, Known};
use crate::http::h3::{write_data_head, write_headers};
use crate::http::qpack;

/// How far a protocol has read a request.
#[derive(Debug)]
pub enum Wire {
    /// Frames of HTTP/3.
    Http3(Reader),
    /// Nothing has to be known.
    #[cfg(test)]
    Memory,
}

impl Default for Wire {
    fn default() -> Wire {
        Wire::Http3(Reader::default())
    }
}

impl Wire {
    /// An exchange begins on a stream of HTTP/3; the buffer is kept.
    pub(super) fn begin_http3(&mut self) {
        match self {
            Wire::Http3(_) => {}
            #[cfg(test)]
            Wire::Memory => *self = Wire::default(),
        }
    }

    /// HTTP/3's; nobody else asks for it.
    pub(crate) fn http3(&mut self) -> &mut Reader {
        match self {
            Wire::Http3(reader) => reader,
            #[cfg(test)]
            Wire::Memory => panic!("this is no HTTP/3"),
        }
    }

    /// A request begins, or begins anew behind its head; buffers are kept.
    pub fn restart(&mut self) {
        match self {
            Wire::Http3(reader) => reader.restart(),
            #[cfg(test)]
            Wire::Memory => {}
        }
    }

    /// Whether a body has begun among bytes that came along with the head.
    pub fn has_body(&self, bytes: &[u8]) -> bool {
        match self {
            Wire::Http3(_) => Reader::has_body(bytes),
            #[cfg(test)]
            Wire::Memory => !bytes.is_empty(),
        }
    }
}

/// How responses are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Frames of HTTP/3, fields by QPACK.
    #[default]
    Http3,
    /// Lines of text.
    #[cfg(test)]
    Memory,
}

impl Encoding {
    /// Appends a head, whose fields `write` gives, the status first.
    pub fn head(self, out: &mut Vec<u8>, write: impl FnOnce(&mut FieldLines<'_>)) {
        match self {
            Encoding::Http3 => write_headers(out, |out| {
                qpack::encode_prefix(out);
                write(&mut FieldLines { encoding: self, out });
            }),
            #[cfg(test)]
            Encoding::Memory => memory::head(out, |out| write(&mut FieldLines { encoding: self, out })),
        }
    }

    /// Appends a piece of body.
    pub fn body(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Encoding::Http3 => write_data_head(bytes.len(), out),
            #[cfg(test)]
            Encoding::Memory => memory::body_head(bytes.len(), out),
        }
        out.extend_from_slice(bytes);
    }

    /// Appends trailers.
    pub fn trailers(self, fields: &Fields, out: &mut Vec<u8>) {
        match self {
            Encoding::Http3 => write_headers(out, |out| qpack::encode(fields, out)),
            #[cfg(test)]
            Encoding::Memory => memory::trailers(fields, out),
        }
    }
}

/// Takes the field lines of a head.
pub struct FieldLines<'a> {
    encoding: Encoding,
    out: &'a mut Vec<u8>,
}

impl FieldLines<'_> {
    /// One field line, or the status.
    pub fn push(&mut self, known: Known, name: &[u8], value: &[u8]) {
        match self.encoding {
            Encoding::Http3 => qpack::encode_known(known, name, value, self.out),
            #[cfg(test)]
            Encoding::Memory => memory::field(name, value, self.out),
        }
    }
}
