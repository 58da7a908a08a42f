//! Phase 1, receive: the kernel gives batches of datagrams, many to a buffer where it coalesces
//! them (GRO), many buffers to a call (recvmmsg).

use super::socket::UDP_GRO;
use crate::base::address::{self, RawAddress};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;

/// Buffers a call fills. With GRO each holds up to 64 KiB of datagrams of one flow.
const BUFFERS: usize = 16;
const BUFFER_BYTES: usize = 65_536;
/// Room for the control messages we ask for: GRO's segment size, the packet's destination, and how
/// many were dropped.
const CONTROL_WORDS: usize = 24;

/// One filled buffer: datagrams of `segment` bytes (the last may be shorter) from one peer.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Which buffer.
    pub buffer: usize,
    /// Bytes in it.
    pub length: usize,
    /// Bytes of each datagram.
    pub segment: usize,
    /// Sender.
    pub from: SocketAddr,
    /// Address it was sent to.
    pub to: SocketAddr,
    /// Datagrams the socket has dropped in its life because its buffer was full, modulo 2^32; 0
    /// where the kernel does not say.
    pub overflows: u32,
}

/// Buffers and headers for recvmmsg, allocated once.
pub struct Receiver {
    bytes: Vec<u8>,
    headers: Vec<libc::mmsghdr>,
    names: Vec<RawAddress>,
    controls: Vec<[u64; CONTROL_WORDS]>,
    // Kept because the headers point to them.
    _vectors: Vec<libc::iovec>,
}

impl Default for Receiver {
    fn default() -> Self {
        let mut bytes = vec![0u8; BUFFERS * BUFFER_BYTES];
        let mut names = vec![address::empty(); BUFFERS];
        let controls = vec![[0u64; CONTROL_WORDS]; BUFFERS];
        let mut vectors: Vec<libc::iovec> = bytes
            .chunks_exact_mut(BUFFER_BYTES)
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER_BYTES })
            .collect();
        let headers = (0..BUFFERS)
            .map(|place| {
                // SAFETY: zero is a valid value of this plain structure.
                let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
                header.msg_hdr.msg_name = (&raw mut names[place]).cast();
                header.msg_hdr.msg_iov = &raw mut vectors[place];
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Receiver { bytes, headers, names, controls, _vectors: vectors }
    }
}

impl Receiver {
    /// Takes what waits on a socket, at most one batch. Returns the number of buffers filled and
    /// whether there may be more.
    pub fn receive(&mut self, fd: RawFd) -> (usize, bool) {
        for (header, control) in self.headers.iter_mut().zip(&mut self.controls) {
            header.msg_hdr.msg_namelen = size_of::<RawAddress>() as libc::socklen_t;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_WORDS * 8;
        }
        // SAFETY: headers point into vectors that live in `self` and do not move.
        let count = unsafe { libc::recvmmsg(fd, self.headers.as_mut_ptr(), BUFFERS as u32, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        let count = count.max(0) as usize;
        (count, count == BUFFERS)
    }

    /// What is in one of the buffers of the last call; none if its sender is of no family we know.
    /// `local` stands in where the kernel does not say where the packet was sent to.
    pub fn arrival(&self, buffer: usize, local: SocketAddr) -> Option<Arrival> {
        let header = &self.headers[buffer];
        let length = header.msg_len as usize;
        let mut arrival = Arrival { buffer, length, segment: length, from: address::read(&self.names[buffer])?, to: local, overflows: 0 };
        // SAFETY: the kernel wrote `msg_controllen` bytes of control messages; the macros stay
        // inside them.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(&header.msg_hdr);
            while !message.is_null() {
                let data = libc::CMSG_DATA(message);
                match ((*message).cmsg_level, (*message).cmsg_type) {
                    (libc::SOL_UDP, UDP_GRO) => arrival.segment = (data.cast::<u16>().read_unaligned() as usize).max(1),
                    (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => arrival.overflows = data.cast::<u32>().read_unaligned(),
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                        arrival.to.set_ip(IpAddr::V4(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes())));
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                        let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                        arrival.to.set_ip(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                    }
                    _ => {}
                }
                message = libc::CMSG_NXTHDR(&header.msg_hdr, message);
            }
        }
        Some(arrival)
    }

    /// The datagrams of an arrival, to be decrypted in place.
    pub fn datagrams(&mut self, arrival: &Arrival) -> std::slice::ChunksMut<'_, u8> {
        let start = arrival.buffer * BUFFER_BYTES;
        self.bytes[start..start + arrival.length].chunks_mut(arrival.segment.max(1))
    }
}
