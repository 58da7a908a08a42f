//! Responses: a head, then a body that ends by its length, its last chunk, or the end of the
//! connection (RFC 9112 §6.3).

use super::chunked::{Chunked, Piece};
use super::head::{self, HeadError};
use super::{Download, Exchange, H1, Upload};
use crate::base::chunk::Block;
use crate::base::reason::Reason;
use crate::http::challenge::has_connection_challenge;
use crate::http::check::{check_response, check_trailers, has_no_length, keep_one_length};
use crate::upstream::io::{Broken, Io, broken};
use crate::upstream::sink::{BodyPart, Sink};

/// Interim responses before the final one.
const MAX_INFORMATIONAL: u8 = 32;

impl H1 {
    /// Parses a block from `at` on; returns the position of the first byte that needs more.
    pub fn receive<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, block: &Block, mut at: usize) -> Result<usize, Broken> {
        let filled = block.filled();
        while at < filled {
            let Some(exchange) = &mut self.exchange else {
                return if self.is_closing { Ok(filled) } else { broken(0, "bytes nobody asked for") };
            };
            let used = match exchange.download {
                Download::Head => self.on_head(io, sink, block.bytes(at, filled))?,
                Download::Chunked(chunked) => self.on_chunks(io, sink, block, at, chunked)?,
                Download::Length(left) => {
                    let count = left.min((filled - at) as u64) as usize;
                    exchange.download = Download::Length(left - count as u64);
                    let is_end = left == count as u64;
                    deliver(exchange, sink, block, at, count, is_end);
                    if is_end {
                        self.end_download(io, sink);
                    }
                    count
                }
                Download::UntilClose => {
                    deliver(exchange, sink, block, at, filled - at, false);
                    filled - at
                }
                Download::Done => return broken(0, "bytes after the end of a response"),
            };
            if used == 0 {
                return Ok(at);
            }
            at += used;
        }
        Ok(at)
    }

    /// The backend closed its side, which ends a body without length.
    pub fn on_end<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, is_orderly: bool) {
        self.is_closing = true;
        if let Some(Exchange { key, download: Download::UntilClose, .. }) = self.exchange
            && is_orderly
        {
            sink.on_data(key, BodyPart::nothing(), true);
            self.end_download(io, sink);
        }
    }

    /// A head at the beginning of `bytes`; returns its length, 0 when it is not complete.
    fn on_head<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, bytes: &[u8]) -> Result<usize, Broken> {
        let parsed = match head::find_end(bytes, &mut self.scanned) {
            Ok(None) if bytes.len() <= self.limits.max_size => return Ok(0),
            Ok(None) => Err(HeadError::TooLarge),
            Ok(Some(len)) => head::parse(&bytes[..len], &mut io.work.fields, &mut self.named, self.limits).map(|line| (len, line)),
            Err(error) => Err(error),
        };
        self.scanned = 0;
        let (len, line) = match parsed {
            Ok(parsed) => parsed,
            Err(HeadError::Malformed(fault)) => return broken(0, fault),
            Err(HeadError::TooLarge) => return Ok(self.refuse(io, sink, bytes)),
        };
        let Ok(mut facts) = check_response(&io.work.fields) else { return broken(0, "a malformed response head") };
        if facts.has_spare_length {
            keep_one_length(&mut io.work.fields, !has_no_length(facts.status));
        }
        let Some(exchange) = &mut self.exchange else { return Ok(len) };
        if facts.is_interim {
            exchange.informational += 1;
            if exchange.informational > MAX_INFORMATIONAL || line.is_chunked {
                return broken(0, "interim responses without end");
            }
            sink.on_informational(exchange.key, line.status, &io.work.fields);
            return Ok(len);
        }
        self.is_closing |= line.is_last;
        if matches!(line.status, 401 | 407) && has_connection_challenge(&io.work.fields) {
            facts.has_connection_challenge = true;
            self.owner = Some(exchange.permit.client);
        }
        exchange.download = match facts.content_length {
            _ if exchange.is_head || matches!(line.status, 204 | 304) => Download::Length(0),
            _ if line.is_chunked => Download::Chunked(Chunked::default()),
            Some(length) => Download::Length(length),
            None => Download::UntilClose,
        };
        self.is_closing |= matches!(exchange.download, Download::UntilClose);
        let is_end = matches!(exchange.download, Download::Length(0));
        sink.on_head(exchange.key, line.status, &io.work.fields, facts, is_end);
        if is_end {
            self.end_download(io, sink);
        }
        Ok(len)
    }

    fn on_chunks<S: Sink + ?Sized>(
        &mut self,
        io: &mut Io<'_>,
        sink: &mut S,
        block: &Block,
        at: usize,
        mut chunked: Chunked,
    ) -> Result<usize, Broken> {
        let bytes = block.bytes(at, block.filled());
        let Some(exchange) = &mut self.exchange else { return Ok(bytes.len()) };
        let Some(piece) = chunked.read(bytes) else { return broken(0, "chunks that are none") };
        exchange.download = Download::Chunked(chunked);
        match piece {
            Piece::More => Ok(bytes.len()),
            Piece::Data { skip, len } => {
                deliver(exchange, sink, block, at + skip, len, false);
                Ok(skip + len)
            }
            Piece::Trailers { skip } if skip > 0 => Ok(skip),
            Piece::Trailers { .. } => self.on_trailers(io, sink, bytes),
        }
    }

    fn on_trailers<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, bytes: &[u8]) -> Result<usize, Broken> {
        let found = head::find_end(bytes, &mut self.scanned);
        if found == Ok(None) && bytes.len() <= self.limits.max_size {
            return Ok(0);
        }
        self.scanned = 0;
        let Ok(Some(len)) = found else { return broken(0, "trailers that are none") };
        let Some(exchange) = &mut self.exchange else { return Ok(len) };
        let fields = &mut io.work.fields;
        fields.clear();
        if head::parse_fields(&bytes[..len], fields, self.limits).is_err() || check_trailers(fields).is_err() {
            return broken(0, "malformed trailers");
        }
        head::drop_named(fields, &self.named);
        if fields.is_empty() {
            sink.on_data(exchange.key, BodyPart::nothing(), true);
        } else {
            sink.on_trailers(exchange.key, fields);
        }
        self.end_download(io, sink);
        Ok(len)
    }

    /// A head beyond the limits: the exchange fails and the connection ends.
    fn refuse<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, bytes: &[u8]) -> usize {
        self.fail(io, sink, Reason::BackendHeadTooLarge);
        bytes.len()
    }

    /// The response is complete. An upload goes on only if the backend keeps the connection (RFC
    /// 9112 §9.3).
    fn end_download<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.download = Download::Done;
        if exchange.upload == Upload::Done {
            self.finish(io);
        } else if self.is_closing {
            let key = exchange.key;
            self.finish(io);
            sink.on_upload_stopped(key);
        }
    }
}

fn deliver<S: Sink + ?Sized>(exchange: &mut Exchange, sink: &mut S, block: &Block, at: usize, count: usize, is_end: bool) {
    let taken = sink.on_data(exchange.key, BodyPart::new(block, at, at + count), is_end).min(count);
    exchange.held += count - taken;
}
