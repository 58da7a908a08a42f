//! The canonical form of a path with query (RFC 3986 §6.2.2, §6.2.3).

use super::{Complaint, Rules};

/// Longest canonical form: that of a field value.
const MAX_BYTES: usize = u16::MAX as usize;

/// Begins a segment.
const SLASH: u8 = 1;
/// After a slash it may begin a segment that is removed: another slash, or a dot. Twice [`SLASH`],
/// see [`is_canonical`].
const REMOVABLE: u8 = 2;
/// In a path it may not be canonical.
const ODD_IN_PATH: u8 = 4;
/// In a query it may not be canonical.
const ODD_IN_QUERY: u8 = 8;

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = classes_of(byte as u8);
        byte += 1;
    }
    table
};

const fn classes_of(byte: u8) -> u8 {
    match byte {
        b'/' => SLASH | REMOVABLE,
        b'.' => REMOVABLE,
        b'%' | b'#' => ODD_IN_PATH | ODD_IN_QUERY,
        _ if !byte.is_ascii_graphic() => ODD_IN_PATH | ODD_IN_QUERY,
        _ if is_path_character(byte) => 0,
        _ => ODD_IN_PATH,
    }
}

/// `pchar` of RFC 3986 §3.3 without the percent sign.
const fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

/// Characters that mean the same escaped and not escaped (RFC 3986 §2.3).
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Writes the canonical form of `text`, a path with or without a query, into `out`, and returns
/// whether it differs; if not, `out` is not valid. At most three times as long as `text`, and at
/// most 65,535 bytes.
pub fn path(text: &[u8], rules: Rules, out: &mut Vec<u8>) -> Result<bool, Complaint> {
    path_and_kept(text, rules, out, &mut Vec::new())
}

/// As [`path`], and writes into `kept` what the backend gets: the client's spelling, with only dot
/// segments resolved, escaped or not. Its canonical form is the same. Not valid either if nothing
/// differs.
pub fn path_and_kept(text: &[u8], rules: Rules, out: &mut Vec<u8>, kept: &mut Vec<u8>) -> Result<bool, Complaint> {
    if is_canonical(text) || text == b"*" {
        return Ok(false);
    }
    out.clear();
    kept.clear();
    let path_end = text.iter().position(|&byte| byte == b'?').unwrap_or(text.len());
    let (path, query) = text.split_at(path_end);
    write_path(path, rules, out, kept)?;
    write_query(query, out)?;
    kept.extend_from_slice(query);
    if out.len() > MAX_BYTES {
        return Err("the canonical form is too long");
    }
    Ok(out.as_slice() != text)
}

/// Whether a path is canonical, in one pass. False negatives are possible (`/.well-known`, an
/// escape), false positives are not.
#[inline]
fn is_canonical(text: &[u8]) -> bool {
    if text.first() != Some(&b'/') {
        return false;
    }
    let path_end = text.iter().position(|&byte| byte == b'?').unwrap_or(text.len());
    let (path, query) = text.split_at(path_end);
    let (mut found, mut before) = (0, 0);
    for &byte in path {
        let class = CLASSES[byte as usize];
        found |= class & ODD_IN_PATH | before << 1 & class & REMOVABLE;
        before = class;
    }
    query.iter().fold(found, |found, &byte| found | CLASSES[byte as usize] & ODD_IN_QUERY) == 0
}

/// Segment by segment, so that `..` removes the canonical segment before it (RFC 3986 §5.2.4).
fn write_path(path: &[u8], rules: Rules, out: &mut Vec<u8>, kept: &mut Vec<u8>) -> Result<(), Complaint> {
    let Some((b'/', segments)) = path.split_first() else {
        // The path of a URL without one (RFC 9110 §4.2.3).
        out.push(b'/');
        kept.push(b'/');
        return if path.is_empty() { Ok(()) } else { Err("a path does not begin with a slash") };
    };
    let mut segments = segments.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let (start, kept_start) = (out.len(), kept.len());
        out.push(b'/');
        kept.push(b'/');
        kept.extend_from_slice(segment);
        write_segment(segment, rules, out)?;
        match &out[start + 1..] {
            b"" if rules.are_slashes_merged => {
                out.truncate(start);
                if is_last {
                    out.push(b'/');
                }
                continue;
            }
            b"." => {
                out.truncate(start);
                kept.truncate(kept_start);
            }
            b".." => {
                out.truncate(start);
                kept.truncate(kept_start);
                let parent = out.iter().rposition(|&byte| byte == b'/').ok_or("a path leads above the root")?;
                out.truncate(parent);
                drop_last(kept, rules);
            }
            segment if has_hidden_dots(segment) => return Err("a segment is dots to whoever decodes it further"),
            _ => continue,
        }
        // The last segment was removed; its slash stays (`/a/..` is the directory `/`).
        if is_last {
            out.push(b'/');
            kept.push(b'/');
        }
    }
    Ok(())
}

/// Removes the last segment and, where slashes are merged, the empty ones after it.
fn drop_last(kept: &mut Vec<u8>, rules: Rules) {
    while let Some(start) = kept.iter().rposition(|&byte| byte == b'/') {
        let is_empty = start + 1 == kept.len();
        kept.truncate(start);
        if !(is_empty && rules.are_slashes_merged) {
            return;
        }
    }
}

/// What follows the first `segments` segments of a kept path: nothing, or text that begins with a
/// slash or a question mark. Empty segments do not count where slashes are merged.
pub fn behind_segments(kept: &[u8], segments: usize, are_slashes_merged: bool) -> &[u8] {
    let path_end = kept.iter().position(|&byte| byte == b'?').unwrap_or(kept.len());
    let (mut at, mut left) = (0, segments);
    while left > 0 && at < path_end {
        let end = kept[at + 1..path_end].iter().position(|&byte| byte == b'/').map_or(path_end, |length| at + 1 + length);
        let is_counted = end > at + 1 || !are_slashes_merged;
        left -= usize::from(is_counted);
        at = end;
    }
    &kept[at..]
}

fn write_segment(segment: &[u8], rules: Rules, out: &mut Vec<u8>) -> Result<(), Complaint> {
    let mut rest = segment;
    // The octet of the preceding escape, 0 when there was none.
    let mut lead = 0;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if is_path_character(byte) {
            out.push(byte);
            lead = 0;
        } else if byte == b'%' {
            let (octet, after) = escape(after).ok_or("an escape is not two hexadecimal digits")?;
            rest = after;
            match octet {
                0..0x20 | 0x7f => return Err("an escape is a control character"),
                b'/' | b'\\' if !rules.are_escaped_slashes_kept => return Err("a slash or backslash is escaped"),
                _ if is_overlong(lead, octet) => return Err("an escape is an overlong form of UTF-8"),
                _ if is_unreserved(octet) => out.push(octet),
                _ => write_escape(octet, out),
            }
            lead = octet;
        } else if byte.is_ascii_graphic() && byte != b'\\' && byte != b'#' {
            // Browsers send these as they are; RFC 3986 requires escapes.
            write_escape(byte, out);
            lead = 0;
        } else {
            return Err("a path holds what a path cannot");
        }
    }
    Ok(())
}

/// Escapes get upper-case digits; all else stays, as only its reader knows what a query means. A
/// percent sign that begins no escape stays too.
fn write_query(query: &[u8], out: &mut Vec<u8>) -> Result<(), Complaint> {
    let mut rest = query;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, escape(after)) {
            (b'%', Some((0, _))) => return Err("an escape in the query is NUL"),
            (b'%', Some((octet, after))) => {
                write_escape(octet, out);
                rest = after;
            }
            _ if byte.is_ascii_graphic() && byte != b'#' => out.push(byte),
            _ => return Err("a query holds what a query cannot"),
        }
    }
    Ok(())
}

/// The octet of the first two digits of `text`, and what follows them.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], rest) = text.split_first_chunk()?;
    let digit = |byte: u8| (byte as char).to_digit(16);
    Some(((digit(*high)? << 4 | digit(*low)?) as u8, rest))
}

fn write_escape(octet: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', DIGITS[(octet >> 4) as usize], DIGITS[(octet & 15) as usize]]);
}

/// Whether two octets begin an overlong form, which UTF-8 forbids and some decoders accept (RFC
/// 3629 §3).
fn is_overlong(lead: u8, octet: u8) -> bool {
    match lead {
        0xc0 | 0xc1 => matches!(octet, 0x80..=0xbf),
        0xe0 => matches!(octet, 0x80..=0x9f),
        0xf0 => matches!(octet, 0x80..=0x8f),
        _ => false,
    }
}

/// Whether a canonical segment is `.` or `..` to a server that decodes escaped slashes, or removes
/// parameters before it resolves dots.
fn has_hidden_dots(segment: &[u8]) -> bool {
    let mut piece = segment;
    loop {
        let end = piece.windows(3).position(|three| matches!(three, b"%2F" | b"%5C")).unwrap_or(piece.len());
        let name = piece[..end].split(|&byte| byte == b';').next().unwrap_or_default();
        if matches!(name, b"." | b"..") {
            return true;
        }
        if end == piece.len() {
            return false;
        }
        piece = &piece[end + 3..];
    }
}
