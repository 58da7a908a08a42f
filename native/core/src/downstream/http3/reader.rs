//! Where the reading of a request stream stands, and the frames of its bytes.

use crate::http::h3::{FrameHead, RequestFrame, request_frame};

/// What the next bytes of a request stream are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// The head of a frame.
    #[default]
    Frame,
    /// A field section, so many bytes missing.
    Section(u64),
    /// Body.
    Data(u64),
    /// A frame nobody knows.
    Skip(u64),
}

/// Where the reading of a request stream stands.
#[derive(Debug, Default)]
pub struct Reader {
    /// What comes next.
    pub expect: Expect,
    /// Collects a frame's head.
    pub frame: FrameHead,
    /// Collects a field section that came in pieces.
    pub section: Vec<u8>,
}

impl Reader {
    /// Begins anew, keeps the buffer.
    pub fn restart(&mut self) {
        self.expect = Expect::Frame;
        self.frame = FrameHead::default();
        self.section.clear();
    }

    /// Whether part of a frame has come and the rest is missing.
    pub fn is_inside_frame(&self) -> bool {
        !matches!(self.expect, Expect::Frame | Expect::Data(0) | Expect::Skip(0)) || !self.frame.is_empty()
    }

    /// A whole field section, in place where it came in one piece, collected otherwise.
    pub fn take_section<'a, 'i: 'a>(&'a mut self, left: u64, input: &mut &'i [u8]) -> Option<&'a [u8]> {
        let count = left.min(input.len() as u64) as usize;
        let (piece, rest) = input.split_at(count);
        *input = rest;
        if (count as u64) < left {
            self.section.extend_from_slice(piece);
            self.expect = Expect::Section(left - count as u64);
            return None;
        }
        self.expect = Expect::Frame;
        if self.section.is_empty() {
            return Some(piece);
        }
        self.section.extend_from_slice(piece);
        Some(&self.section)
    }

    /// Whether a body has begun among bytes that came along with the head.
    pub fn has_body(mut bytes: &[u8]) -> bool {
        while let Some((kind, length)) = FrameHead::default().take(&mut bytes) {
            match request_frame(kind) {
                Ok(RequestFrame::Data) if length > 0 => return true,
                Ok(RequestFrame::Data) => {}
                Ok(RequestFrame::Unknown) if length <= bytes.len() as u64 => bytes = &bytes[length as usize..],
                _ => break,
            }
        }
        false
    }
}
