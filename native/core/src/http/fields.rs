//! A head or a trailer section: an ordered list of fields in one block of text.
//!
//! Every codec writes into it and reads from it (QPACK, HPACK, HTTP/1.1), and it is reused from exchange to exchange, so that a head costs
//! no allocation once the buffers have grown. Checks of what a head may hold are in [`super::check`].

/// Names the data path has to recognise. Found once, when a field is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    /// Anything the data path does not care about.
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
    /// Any other name that begins with a colon.
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
    /// A name like [`Known::Other`] whose sender asked that it never be indexed (RFC 7541 §6.2.3, RFC 9204 §7.1.3). Comes from decoders only.
    Sensitive,
}

impl Known {
    /// Looks a lower-case name up.
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

    /// Whether a field recognised as `field` may have the name this was found for. A sender's wish that its field never be indexed does not make it another.
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

    /// Whether the field is one connection's, whether `connection` names it or not (RFC 9110 §7.6.1). `te` is, but for `trailers` over HTTP/2 and HTTP/3; `trailer` is not: it is
    /// about the message (RFC 9110 §6.6.2).
    pub fn is_of_connection(self) -> bool {
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

/// Where a field lies in the text: the value follows the name.
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
    /// Which name it is, if the data path cares.
    pub known: Known,
    /// Lower-case name, pseudo-header names with their colon.
    pub name: &'a [u8],
    /// Value without surrounding white space.
    pub value: &'a [u8],
}

/// An ordered list of fields. Names and values are at most 65,535 bytes each; decoders refuse longer ones as too large.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    text: Vec<u8>,
    list: Vec<Entry>,
    crumbs: usize,
}

impl Fields {
    /// An empty list that has allocated nothing.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// Forgets the fields and keeps the buffers.
    pub fn clear(&mut self) {
        self.text.clear();
        self.list.clear();
        self.crumbs = 0;
    }

    /// Number of fields, pseudo-header fields counted.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Size as RFC 9114 §4.2.2 counts it: name + value + 32 a field.
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

    /// Adds a field whose name has been recognised already.
    pub fn push_known(&mut self, known: Known, name: &[u8], value: &[u8]) {
        debug_assert!(name.len() <= u16::MAX as usize && value.len() <= u16::MAX as usize);
        let start = self.text.len() as u32;
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.crumbs += usize::from(known == Known::Cookie);
        self.list.push(Entry { start, name_len: name.len() as u16, value_len: value.len() as u16, known });
    }

    /// Adds a field whose name and value lie side by side in `text`, the first `name_len` bytes being the name.
    #[inline]
    pub fn push_joined(&mut self, known: Known, text: &[u8], name_len: usize) {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        self.finish_known(known, start, name_len);
    }

    /// The field at a place, which must exist.
    pub fn at(&self, place: usize) -> Field<'_> {
        let e = self.list[place];
        let middle = e.start as usize + e.name_len as usize;
        Field { known: e.known, name: &self.text[e.start as usize..middle], value: &self.text[middle..middle + e.value_len as usize] }
    }

    /// Which name the field at a place has, without a look at its text.
    #[inline]
    pub fn known_at(&self, place: usize) -> Known {
        self.list[place].known
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        (0..self.list.len()).map(|place| self.at(place))
    }

    /// Value of the first field of a known name.
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        self.list.iter().position(|e| e.known == known).map(|place| self.at(place).value)
    }

    /// Value of the first field of a name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|f| f.name == name).map(|f| f.value)
    }

    /// Appends text for a field piece by piece: give name bytes, then value bytes, then call [`Fields::finish`].
    /// For decoders that write Huffman output straight into the block.
    pub fn text_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Makes a field of the text appended since `start`, the first `name_len` bytes being its name.
    pub fn finish(&mut self, start: usize, name_len: usize) {
        let known = Known::of(&self.text[start..start + name_len]);
        self.finish_known(known, start, name_len);
    }

    /// As [`Fields::finish`], for a name that has been recognised already.
    #[inline]
    pub fn finish_known(&mut self, known: Known, start: usize, name_len: usize) {
        let value_len = self.text.len() - start - name_len;
        debug_assert!(name_len <= u16::MAX as usize && value_len <= u16::MAX as usize);
        self.crumbs += usize::from(known == Known::Cookie);
        self.list.push(Entry { start: start as u32, name_len: name_len as u16, value_len: value_len as u16, known });
    }

    /// Gives the field at a place, which must exist, another value of at most 65,535 bytes. A longer one is put at the end of the text together with the
    /// name; what it leaves unused stays until [`Fields::clear`].
    pub fn replace(&mut self, place: usize, value: &[u8]) {
        debug_assert!(value.len() <= u16::MAX as usize);
        let e = &mut self.list[place];
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

    /// Keeps the fields for which `keep` says so; the text stays until [`Fields::clear`].
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let text = &self.text;
        self.list.retain(|e| {
            let middle = e.start as usize + e.name_len as usize;
            keep(Field { known: e.known, name: &text[e.start as usize..middle], value: &text[middle..middle + e.value_len as usize] })
        });
        self.crumbs = self.list.iter().filter(|e| e.known == Known::Cookie).count();
    }

    /// Makes one field of the crumbs of a cookie, at the place of the first (RFC 9114 §4.2.1). Together they must have at most 65,535 bytes.
    pub fn join_crumbs(&mut self) {
        if self.crumbs < 2 {
            return;
        }
        let start = self.text.len();
        self.text.extend_from_slice(b"cookie");
        let middle = self.text.len();
        for place in 0..self.list.len() {
            let e = self.list[place];
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
