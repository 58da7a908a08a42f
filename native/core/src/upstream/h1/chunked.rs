//! The chunked coding (RFC 9112 §7.1): finds the data. Trailers are the caller's.

/// Bytes of chunk extensions, which are ignored.
const MAX_EXTENSION_BYTES: u16 = 1024;

/// Position in the coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { value: u64, digits: u8 },
    Extension { value: u64, seen: u16 },
    SizeEnd { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Data of `len` bytes after `skip` bytes of coding.
    Data { skip: usize, len: usize },
    /// Trailer lines or the empty line after `skip` bytes of coding.
    Trailers { skip: usize },
    /// All bytes are coding, and more are needed.
    More,
}

/// The decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunked {
    state: State,
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked { state: START }
    }
}

const START: State = State::Size { value: 0, digits: 0 };

impl Chunked {
    /// Reads on; none when the bytes are not the chunked coding. The caller removes what the piece
    /// covers.
    pub fn read(&mut self, bytes: &[u8]) -> Option<Piece> {
        for (at, byte) in bytes.iter().copied().enumerate() {
            self.state = match self.state {
                State::Data { left } => {
                    let len = left.min((bytes.len() - at) as u64);
                    self.state = if len == left { State::DataCr } else { State::Data { left: left - len } };
                    return Some(Piece::Data { skip: at, len: len as usize });
                }
                State::Trailers => return Some(Piece::Trailers { skip: at }),
                State::DataCr if byte == b'\r' => State::DataLf,
                State::DataLf if byte == b'\n' => START,
                State::DataCr | State::DataLf => return None,
                State::Size { value, digits } => read_size(value, digits, byte)?,
                State::Extension { value, seen } => match byte {
                    b'\r' => State::SizeEnd { value },
                    b'\t' | b' '..=b'~' | 0x80.. if seen < MAX_EXTENSION_BYTES => State::Extension { value, seen: seen + 1 },
                    _ => return None,
                },
                State::SizeEnd { value } => match (byte, value) {
                    (b'\n', 0) => State::Trailers,
                    (b'\n', left) => State::Data { left },
                    _ => return None,
                },
            };
        }
        match self.state {
            State::Trailers => Some(Piece::Trailers { skip: bytes.len() }),
            _ => Some(Piece::More),
        }
    }
}

fn read_size(value: u64, digits: u8, byte: u8) -> Option<State> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Some(State::SizeEnd { value }),
        b';' | b' ' | b'\t' if digits > 0 => return Some(State::Extension { value, seen: 0 }),
        _ => return None,
    };
    // Sixteen digits hold every 64-bit size.
    (digits < 16).then_some(State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data decoded when the text comes in pieces of `size`; none when refused or unfinished.
    fn decoded(text: &[u8], size: usize) -> Option<(Vec<u8>, usize)> {
        let (mut chunked, mut data, mut at) = (Chunked::default(), Vec::new(), 0);
        while at < text.len() {
            let bytes = &text[at..text.len().min(at + size)];
            match chunked.read(bytes)? {
                Piece::Data { skip, len } => {
                    data.extend_from_slice(&bytes[skip..skip + len]);
                    at += skip + len;
                }
                Piece::Trailers { skip } => return Some((data, at + skip)),
                Piece::More => at += bytes.len(),
            }
        }
        None
    }

    #[test]
    fn data_is_found_whatever_the_pieces() {
        let text = b"5\r\nhello\r\n001;a=\"b\"\r\n,\r\nA \r\n0123456789\r\n0\r\n\r\n";
        for size in 1..text.len() + 1 {
            assert_eq!(decoded(text, size), Some((b"hello,0123456789".to_vec(), text.len() - 2)), "{size}");
        }
    }

    #[test]
    fn what_is_not_the_coding_is_refused() {
        for bad in [
            &b"\r\nhello"[..],
            b"g\r\n",
            b"5\nhello\r\n0\r\n",
            b"5\r\nhelloo\r\n0\r\n",
            b"-1\r\n",
            b"0x5\r\nhello\r\n0\r\n",
            b"11111111111111111\r\n",
            b"5;\n\r\nhello\r\n0\r\n",
            b"5\r\nhello\n0\r\n\r\n",
        ] {
            assert_eq!(decoded(bad, 99), None, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), size in 1usize..50) {
            let _ = decoded(&bytes, size);
        }
    }
}
