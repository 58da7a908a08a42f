//! A head or a trailer section: an ordered list of fields in one block of text.
//!
//! All codecs (QPACK, HPACK, HTTP/1.1) write into it and read from it. It is reused between
//! exchanges, so heads do not allocate once the buffers have grown. Checks of heads are in
//! [`super::check`].

/// Names that the data path recognises, once, when a field is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    /// Any other name.
    Other = 0,
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `:status`
    Status,
    /// `:protocol` (RFC 8441, RFC 9220)
    Protocol,
    /// Another name that begins with a colon.
    UnknownPseudo,
    /// `host`
    Host,
    /// `connection`
    Connection,
    /// `keep-alive`
    KeepAlive,
    /// `proxy-connection`
    ProxyConnection,
    /// `transfer-encoding`
    TransferEncoding,
    /// `upgrade`
    Upgrade,
    /// `te`
    Te,
    /// `trailer`
    Trailer,
    /// `content-length`
    ContentLength,
    /// `expect`
    Expect,
    /// `cookie`
    Cookie,
    /// `user-agent`
    UserAgent,
    /// `x-request-id`
    RequestId,
    /// `forwarded`
    Forwarded,
    /// `x-forwarded-for`, `x-forwarded-host`, `x-forwarded-proto`, `x-forwarded-port`
    XForwarded,
    /// `date`
    Date,
    /// `http2-settings`
    Http2Settings,
    /// `authorization`, `proxy-authorization`, `set-cookie`: never indexed (RFC 7541 §7.1.3)
    Secret,
    /// As [`Known::Other`], and the sender asked that it never be indexed (RFC 7541 §6.2.3, RFC
    /// 9204 §7.1.3). From decoders only.
    Sensitive,
}

impl Known {
    /// Looks up a lower-case name.
    pub fn of(name: &[u8]) -> Known {
        match name {
            b":method" => Known::Method,
            b":scheme" => Known::Scheme,
            b":authority" => Known::Authority,
            b":path" => Known::Path,
            b":status" => Known::Status,
            b":protocol" => Known::Protocol,
            b"host" => Known::Host,
            b"connection" => Known::Connection,
            b"keep-alive" => Known::KeepAlive,
            b"proxy-connection" => Known::ProxyConnection,
            b"transfer-encoding" => Known::TransferEncoding,
            b"upgrade" => Known::Upgrade,
            b"te" => Known::Te,
            b"trailer" => Known::Trailer,
            b"content-length" => Known::ContentLength,
            b"expect" => Known::Expect,
            b"cookie" => Known::Cookie,
            b"user-agent" => Known::UserAgent,
            b"x-request-id" => Known::RequestId,
            b"forwarded" => Known::Forwarded,
            b"x-forwarded-for" | b"x-forwarded-host" | b"x-forwarded-proto" | b"x-forwarded-port" => Known::XForwarded,
            b"date" => Known::Date,
            b"http2-settings" => Known::Http2Settings,
            b"authorization" | b"proxy-authorization" | b"set-cookie" => Known::Secret,
            _ if name.first() == Some(&b':') => Known::UnknownPseudo,
            _ => Known::Other,
        }
    }

    /// Whether `field` may be the same name. A field that is never to be indexed has no other name
    /// for that.
    #[inline]
    pub fn covers(self, field: Known) -> bool {
        self == field || self == Known::Other && field == Known::Sensitive
    }

    /// Whether this is a pseudo-header field (RFC 9114 §4.3).
    pub fn is_pseudo(self) -> bool {
        matches!(
            self,
            Known::Method | Known::Scheme | Known::Authority | Known::Path | Known::Status | Known::Protocol | Known::UnknownPseudo
        )
    }

    /// Whether the field is connection-specific, named by `connection` or not (RFC 9110 §7.6.1).
    /// `te` is, except for `trailers` in HTTP/2 and HTTP/3. `trailer` is not: it describes the
    /// message (RFC 9110 §6.6.2).
    pub fn is_connection_specific(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::Upgrade
                | Known::Http2Settings
                | Known::Te
        )
    }
}

/// Position of a field in the text: the value follows the name.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name_len: u16,
    value_len: u16,
    known: Known,
}

/// One field, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, if it is a known one.
    pub known: Known,
    /// Lower-case name; of a pseudo-header field, with the colon.
    pub name: &'a [u8],
    /// Value, without white space around it.
    pub value: &'a [u8],
}

/// An ordered list of fields. Names and values have at most 65,535 bytes each; decoders refuse
/// longer ones.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    text: Vec<u8>,
    list: Vec<Entry>,
    crumbs: usize,
}

impl Fields {
    /// An empty list, without allocation.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// Removes all fields and keeps the buffers.
    pub fn clear(&mut self) {
        self.text.clear();
        self.list.clear();
        self.crumbs = 0;
    }

    /// Number of fields, including pseudo-header fields.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Size by RFC 9114 §4.2.2: name + value + 32 for each field.
    pub fn section_size(&self) -> usize {
        self.text.len() + 32 * self.list.len()
    }

    /// Number of cookie fields.
    pub fn crumbs(&self) -> usize {
        self.crumbs
    }

    /// Bytes of names and values.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Adds a field. The name must be in lower case, name and value at most 65,535 bytes.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_known(Known::of(name), name, value);
    }

    /// Adds a field of a known name.
    pub fn push_known(&mut self, known: Known, name: &[u8], value: &[u8]) {
        debug_assert!(name.len() <= u16::MAX as usize && value.len() <= u16::MAX as usize);
        let start = self.text.len() as u32;
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.crumbs += usize::from(known == Known::Cookie);
        self.list.push(Entry { start, name_len: name.len() as u16, value_len: value.len() as u16, known });
    }

    /// Adds a field from `text`: the name, of `name_len` bytes, and the value.
    #[inline]
    pub fn push_joined(&mut self, known: Known, text: &[u8], name_len: usize) {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        self.finish_known(known, start, name_len);
    }

    /// The field at an index, which must exist.
    pub fn at(&self, index: usize) -> Field<'_> {
        let e = self.list[index];
        let middle = e.start as usize + e.name_len as usize;
        Field { known: e.known, name: &self.text[e.start as usize..middle], value: &self.text[middle..middle + e.value_len as usize] }
    }

    /// The known name of the field at an index.
    #[inline]
    pub fn known_at(&self, index: usize) -> Known {
        self.list[index].known
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        (0..self.list.len()).map(|index| self.at(index))
    }

    /// Value of the first field of a known name.
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        self.list.iter().position(|e| e.known == known).map(|index| self.at(index).value)
    }

    /// Value of the first field of a name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|f| f.name == name).map(|f| f.value)
    }

    /// The text, to append a field piece by piece: name, then value, then [`Fields::finish`]. For
    /// decoders that write Huffman output in place.
    pub fn text_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Makes a field of the text from `start` on: the name, of `name_len` bytes, and the value.
    pub fn finish(&mut self, start: usize, name_len: usize) {
        let known = Known::of(&self.text[start..start + name_len]);
        self.finish_known(known, start, name_len);
    }

    /// As [`Fields::finish`], for a known name.
    #[inline]
    pub fn finish_known(&mut self, known: Known, start: usize, name_len: usize) {
        let value_len = self.text.len() - start - name_len;
        debug_assert!(name_len <= u16::MAX as usize && value_len <= u16::MAX as usize);
        self.crumbs += usize::from(known == Known::Cookie);
        self.list.push(Entry { start: start as u32, name_len: name_len as u16, value_len: value_len as u16, known });
    }

    /// Replaces the value of the field at an index, which must exist, by one of at most 65,535
    /// bytes. A longer value is appended to the text with its name; the old text stays until
    /// [`Fields::clear`].
    pub fn replace(&mut self, index: usize, value: &[u8]) {
        debug_assert!(value.len() <= u16::MAX as usize);
        let e = &mut self.list[index];
        let (start, name_len) = (e.start as usize, e.name_len as usize);
        if value.len() > e.value_len as usize {
            e.start = self.text.len() as u32;
            self.text.extend_from_within(start..start + name_len);
            self.text.extend_from_slice(value);
        } else {
            self.text[start + name_len..][..value.len()].copy_from_slice(value);
        }
        e.value_len = value.len() as u16;
    }

    /// Keeps the fields for which `keep` is true; the text stays until [`Fields::clear`].
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let text = &self.text;
        self.list.retain(|e| {
            let middle = e.start as usize + e.name_len as usize;
            keep(Field { known: e.known, name: &text[e.start as usize..middle], value: &text[middle..middle + e.value_len as usize] })
        });
        self.crumbs = self.list.iter().filter(|e| e.known == Known::Cookie).count();
    }

    /// Joins all cookie fields in place of the first (RFC 9114 §4.2.1). Together they must have at
    /// most 65,535 bytes.
    pub fn join_crumbs(&mut self) {
        if self.crumbs < 2 {
            return;
        }
        let start = self.text.len();
        self.text.extend_from_slice(b"cookie");
        let middle = self.text.len();
        for index in 0..self.list.len() {
            let e = self.list[index];
            if e.known != Known::Cookie || e.value_len == 0 {
                continue;
            }
            if self.text.len() > middle {
                self.text.extend_from_slice(b"; ");
            }
            let value = e.start as usize + e.name_len as usize;
            self.text.extend_from_within(value..value + e.value_len as usize);
        }
        let value_len = self.text.len() - middle;
        debug_assert!(value_len <= u16::MAX as usize);
        let joined = Entry { start: start as u32, name_len: 6, value_len: value_len as u16, known: Known::Cookie };
        let mut is_first = true;
        self.list.retain_mut(|e| {
            if e.known == Known::Cookie && std::mem::take(&mut is_first) {
                *e = joined;
                return true;
            }
            e.known != Known::Cookie
        });
        self.crumbs = 1;
    }
}
