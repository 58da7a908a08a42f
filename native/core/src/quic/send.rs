//! Phase 15, transmit: packets of many connections leave in one call (sendmmsg), those of one
//! connection as segments of one message (GSO).
//!
//! When the kernel's buffer is full the batch stays and the reactor stops making packets until the
//! socket is writable again: what waits belongs in streams, where flow control sees it.

use super::socket::UDP_SEGMENT;
use crate::base::address::{self, RawAddress};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ops::AddAssign;
use std::os::fd::RawFd;

/// Messages a call takes.
const MESSAGES: usize = 64;
/// Bytes of packets held between calls.
const BYTES: usize = 1 << 20;
/// The kernel's limit on segments of one message (UDP_MAX_SEGMENTS of older kernels).
const SEGMENTS: usize = 64;
/// Greatest payload of one UDP message.
const MESSAGE_BYTES: usize = 65_000;
const CONTROL_WORDS: usize = 16;

#[derive(Clone, Copy)]
struct Message {
    start: usize,
    length: usize,
    segment: usize,
    to: SocketAddr,
    from: SocketAddr,
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Everything left.
    All,
    /// The kernel's buffer is full; wait for the socket to become writable.
    Blocked,
}

/// What was sent, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendStats {
    /// sendmmsg calls.
    pub calls: u64,
    /// Datagrams handed to the kernel.
    pub datagrams: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Messages the kernel refused (unreachable, too large), dropped.
    pub errors: u64,
    /// Times GSO was given up.
    pub gso_fallbacks: u64,
}

impl AddAssign for SendStats {
    fn add_assign(&mut self, other: SendStats) {
        self.calls += other.calls;
        self.datagrams += other.datagrams;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.gso_fallbacks += other.gso_fallbacks;
    }
}

/// The batch of one socket.
pub struct Sender {
    fd: RawFd,
    is_gso: bool,
    is_wildcard: bool,
    bytes: Vec<u8>,
    filled: usize,
    messages: Vec<Message>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    names: Vec<RawAddress>,
    controls: Vec<[u64; CONTROL_WORDS]>,
    /// What was sent so far.
    pub stats: SendStats,
}

impl Sender {
    /// A batch for a socket. `is_wildcard`: the source address goes with each message.
    pub fn new(fd: RawFd, is_gso: bool, is_wildcard: bool) -> Sender {
        // SAFETY: zero is a valid value of these plain structures.
        let (vector, header): (libc::iovec, libc::mmsghdr) = unsafe { (mem::zeroed(), mem::zeroed()) };
        Sender {
            fd,
            is_gso,
            is_wildcard,
            bytes: vec![0; BYTES],
            filled: 0,
            messages: Vec::with_capacity(MESSAGES),
            vectors: vec![vector; MESSAGES],
            headers: vec![header; MESSAGES],
            names: vec![address::empty(); MESSAGES],
            controls: vec![[0; CONTROL_WORDS]; MESSAGES],
            stats: SendStats::default(),
        }
    }

    /// An empty batch for the same socket, which counts on.
    pub fn renewed(&self) -> Sender {
        Sender { stats: self.stats, ..Sender::new(self.fd, self.is_gso, self.is_wildcard) }
    }

    /// Whether packets go to the kernel many at once from now on. What waits goes as it is.
    pub fn set_gso(&mut self, is_gso: bool) {
        self.is_gso = is_gso;
    }

    /// Whether a message of full size fits, and one beside it for a packet of another path; if not,
    /// flush.
    pub fn has_room(&self) -> bool {
        self.messages.len() + 2 <= MESSAGES && BYTES - self.filled >= MESSAGE_BYTES
    }

    /// Whether anything waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Greatest number of packets of `segment` bytes in a message.
    pub fn burst(&self, segment: usize) -> usize {
        if self.is_gso { SEGMENTS.min(MESSAGE_BYTES / segment.max(1)).max(1) } else { 1 }
    }

    /// Room for the next packets, to be followed by [`Sender::push`].
    pub fn spare(&mut self) -> &mut [u8] {
        let filled = self.filled;
        &mut self.bytes[filled..]
    }

    /// Takes `length` bytes of the spare room as packets of `segment` bytes (the last may be
    /// shorter) to one peer.
    pub fn push(&mut self, length: usize, segment: usize, from: SocketAddr, to: SocketAddr) {
        self.messages.push(Message { start: self.filled, length, segment, to, from });
        self.filled += length;
        self.stats.datagrams += length.div_ceil(segment.max(1)) as u64;
        self.stats.bytes += length as u64;
    }

    /// Hands the batch to the kernel.
    pub fn flush(&mut self) -> Flushed {
        self.fill_headers();
        let mut done = 0;
        let mut result = Flushed::All;
        while done < self.messages.len() {
            self.stats.calls += 1;
            // SAFETY: headers `done..` were filled above and point into vectors of `self`.
            let sent = unsafe { libc::sendmmsg(self.fd, self.headers.as_mut_ptr().add(done), (self.messages.len() - done) as u32, 0) };
            if sent > 0 {
                done += sent as usize;
                continue;
            }
            match std::io::Error::last_os_error().raw_os_error().unwrap_or(0) {
                libc::EINTR => {}
                libc::EAGAIN => {
                    result = Flushed::Blocked;
                    break;
                }
                // The path or the card cannot segment, or the first piece is larger than the link
                // takes, as a probe may be: the kernel says the same to both. The pieces go one by
                // one; when the first one leaves, it was the segmenting, and all go so from now on.
                libc::EIO | libc::EINVAL | libc::EMSGSIZE if self.messages[done].length > self.messages[done].segment => {
                    if self.send_segments(done) {
                        self.stats.gso_fallbacks += 1;
                        self.is_gso = false;
                    }
                    done += 1;
                }
                _ => {
                    self.stats.errors += 1;
                    done += 1;
                }
            }
        }
        if result == Flushed::All {
            self.messages.clear();
            self.filled = 0;
        } else {
            self.messages.drain(..done);
        }
        result
    }

    fn fill_headers(&mut self) {
        for (place, message) in self.messages.iter().enumerate() {
            self.vectors[place] = libc::iovec { iov_base: self.bytes[message.start..].as_mut_ptr().cast(), iov_len: message.length };
            let header = &mut self.headers[place].msg_hdr;
            header.msg_namelen = address::write(&message.to, &mut self.names[place]);
            header.msg_name = (&raw mut self.names[place]).cast();
            header.msg_iov = &raw mut self.vectors[place];
            header.msg_iovlen = 1;
            let segment = (message.length > message.segment).then_some(message.segment as u16);
            let source = self.is_wildcard.then_some(message.from.ip());
            write_control(header, &mut self.controls[place], segment, source);
        }
    }

    /// Sends a message piece by piece; whether the link takes pieces of that size.
    fn send_segments(&mut self, place: usize) -> bool {
        let message = self.messages[place];
        let source = self.is_wildcard.then_some(message.from.ip());
        let mut is_taken = true;
        for (piece, packet) in self.bytes[message.start..message.start + message.length].chunks_mut(message.segment).enumerate() {
            let mut vector = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
            let mut header = self.headers[place].msg_hdr;
            header.msg_iov = &raw mut vector;
            write_control(&mut header, &mut self.controls[place], None, source);
            // SAFETY: the header points to a name and a control message of `self`, and to the
            // packet.
            let sent = unsafe { libc::sendmsg(self.fd, &raw const header, 0) };
            self.stats.calls += 1;
            self.stats.errors += u64::from(sent < 0);
            if piece == 0 && sent < 0 {
                is_taken = std::io::Error::last_os_error().raw_os_error() != Some(libc::EMSGSIZE);
            }
        }
        is_taken
    }
}

fn write_control(header: &mut libc::msghdr, control: &mut [u64; CONTROL_WORDS], segment: Option<u16>, source: Option<IpAddr>) {
    header.msg_control = std::ptr::null_mut();
    header.msg_controllen = 0;
    if segment.is_none() && source.is_none() {
        return;
    }
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_WORDS * 8;
    let mut used = 0;
    // SAFETY: the control room is aligned and larger than both messages; CMSG macros stay inside
    // `msg_controllen`.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        if let Some(segment) = segment {
            (*message).cmsg_level = libc::SOL_UDP;
            (*message).cmsg_type = UDP_SEGMENT;
            (*message).cmsg_len = libc::CMSG_LEN(2) as _;
            libc::CMSG_DATA(message).cast::<u16>().write_unaligned(segment);
            used += libc::CMSG_SPACE(2) as usize;
            message = message.byte_add(libc::CMSG_SPACE(2) as usize);
        }
        match source {
            Some(IpAddr::V4(ip)) => {
                let mut info: libc::in_pktinfo = mem::zeroed();
                info.ipi_spec_dst.s_addr = u32::from_ne_bytes(ip.octets());
                (*message).cmsg_level = libc::IPPROTO_IP;
                (*message).cmsg_type = libc::IP_PKTINFO;
                (*message).cmsg_len = libc::CMSG_LEN(size_of_val(&info) as u32) as _;
                libc::CMSG_DATA(message).cast::<libc::in_pktinfo>().write_unaligned(info);
                used += libc::CMSG_SPACE(size_of_val(&info) as u32) as usize;
            }
            Some(IpAddr::V6(ip)) => {
                let mut info: libc::in6_pktinfo = mem::zeroed();
                info.ipi6_addr.s6_addr = ip.octets();
                (*message).cmsg_level = libc::IPPROTO_IPV6;
                (*message).cmsg_type = libc::IPV6_PKTINFO;
                (*message).cmsg_len = libc::CMSG_LEN(size_of_val(&info) as u32) as _;
                libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>().write_unaligned(info);
                used += libc::CMSG_SPACE(size_of_val(&info) as u32) as usize;
            }
            None => {}
        }
    }
    header.msg_controllen = used as _;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quic::{receive::Receiver, socket};
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    fn exchange(is_gso: bool, is_gro: bool) -> Vec<usize> {
        let server = socket::open("127.0.0.1:0".parse().unwrap(), 1 << 20, 1 << 20).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = client.local_addr().unwrap();
        if is_gro {
            socket::set_gro(&client, true);
        }
        let mut sender = Sender::new(server.as_raw_fd(), is_gso, false);
        let from = socket::local_address(server.as_raw_fd()).unwrap();
        if is_gso {
            sender.spare()[..3_000].fill(7);
            sender.push(3_000, 1_200, from, local);
        } else {
            for length in [1_200, 1_200, 600] {
                sender.push(length, length, from, local);
            }
        }
        assert_eq!(sender.flush(), Flushed::All);
        assert_eq!(sender.stats.datagrams, 3);
        let mut receiver = Receiver::default();
        let mut sizes = Vec::new();
        while sizes.len() < 3 {
            let (count, _) = receiver.receive(client.as_raw_fd());
            for buffer in 0..count {
                let arrival = receiver.arrival(buffer, local).unwrap();
                assert_eq!(arrival.from, from);
                sizes.extend(receiver.datagrams(&arrival).map(|datagram| datagram.len()));
            }
        }
        sizes
    }

    #[test]
    fn a_segmented_message_arrives_as_its_datagrams() {
        assert_eq!(exchange(true, false), [1_200, 1_200, 600]);
        assert_eq!(exchange(true, true), [1_200, 1_200, 600]);
        assert_eq!(exchange(false, true), [1_200, 1_200, 600]);
    }

    #[test]
    fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
        let server = socket::open("0.0.0.0:0".parse().unwrap(), 1 << 20, 1 << 20).unwrap();
        let port = socket::local_address(server.as_raw_fd()).unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(("127.0.0.7", port)).unwrap();
        client.send(b"hello").unwrap();
        let mut receiver = Receiver::default();
        while receiver.receive(server.as_raw_fd()).0 == 0 {}
        let arrival = receiver.arrival(0, SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
        assert_eq!(arrival.to, SocketAddr::from(([127, 0, 0, 7], port)));
        let mut sender = Sender::new(server.as_raw_fd(), true, true);
        sender.spare()[..2].copy_from_slice(b"hi");
        sender.push(2, 2, arrival.to, arrival.from);
        assert_eq!(sender.flush(), Flushed::All);
        // A connected socket takes nothing from another address.
        let mut answer = [0; 8];
        assert_eq!(client.recv(&mut answer).unwrap(), 2);
    }
}
