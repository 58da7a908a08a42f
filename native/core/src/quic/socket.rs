//! UDP sockets of listeners: opened on the main thread, one for each shard in a reuseport group.

use crate::base::address;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `UDP_SEGMENT` of linux/udp.h: generic segmentation offload.
pub const UDP_SEGMENT: libc::c_int = 103;
/// `UDP_GRO` of linux/udp.h: generic receive offload.
pub const UDP_GRO: libc::c_int = 104;

/// Opens a bound, non-blocking UDP socket with SO_REUSEPORT. Buffer sizes beyond the system's limit
/// are taken where privilege allows (SO_RCVBUFFORCE).
pub fn open(listen: SocketAddr, receive_bytes: usize, send_bytes: usize) -> io::Result<OwnedFd> {
    let family = if listen.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: plain system call; the descriptor is checked and owned at once.
    let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // A port of the kernel's choosing may be one that another SO_REUSEPORT socket of this user has;
    // then strangers would share a listener. So it is asked for without, and the group opened
    // afterwards.
    let is_any_port = listen.port() == 0;
    if !is_any_port {
        set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    if listen.is_ipv6() {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, i32::from(!listen.ip().is_unspecified()))?;
    }
    size_buffers(&socket, (receive_bytes, send_bytes));
    // Datagrams that found the receive buffer full are counted by the kernel, and told with those
    // that did not.
    set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    // QUIC sets its own packet size: never let the network fragment (RFC 9000 §14).
    if listen.is_ipv4() {
        set(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
    } else {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
    }
    if listen.ip().is_unspecified() {
        // A wildcard socket has to answer from the address that was asked.
        set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1).ok();
        if listen.is_ipv6() {
            set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
    }
    let mut raw = address::empty();
    let length = address::write(&listen, &mut raw);
    // SAFETY: `raw` holds an address of `length` bytes.
    if unsafe { libc::bind(fd, (&raw const raw).cast(), length) } < 0 {
        return Err(io::Error::last_os_error());
    }
    if is_any_port {
        set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    Ok(socket)
}

/// The address a socket is bound to.
pub fn local_address(fd: RawFd) -> io::Result<SocketAddr> {
    let mut raw = address::empty();
    let mut length = size_of_val(&raw) as libc::socklen_t;
    // SAFETY: room and its length are given.
    if unsafe { libc::getsockname(fd, (&raw mut raw).cast(), &mut length) } < 0 {
        return Err(io::Error::last_os_error());
    }
    address::read(&raw).ok_or_else(|| io::Error::other("not an internet socket"))
}

/// Asks for buffers of so many bytes, to receive and to send. The kernel may grant less, and
/// refuses no size.
pub fn size_buffers(fd: &impl AsRawFd, (receive, send): (usize, usize)) {
    for (forced, plain, bytes) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, receive), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, send)] {
        let bytes = bytes.min(i32::MAX as usize / 2) as i32;
        if set(fd.as_raw_fd(), libc::SOL_SOCKET, forced, bytes).is_err() {
            let _ = set(fd.as_raw_fd(), libc::SOL_SOCKET, plain, bytes);
        }
    }
}

/// Asks for generic receive offload, or for none; false when the kernel has none.
pub fn set_gro(fd: &impl AsRawFd, is_on: bool) -> bool {
    set(fd.as_raw_fd(), libc::SOL_UDP, UDP_GRO, i32::from(is_on)).is_ok()
}

/// Whether the kernel knows generic segmentation offload: setting a segment size of zero changes
/// nothing else.
pub fn probe_gso(fd: &impl AsRawFd) -> bool {
    set(fd.as_raw_fd(), libc::SOL_UDP, UDP_SEGMENT, 0).is_ok()
}

fn set(fd: RawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: passes a pointer to a c_int and its size.
    let result = unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), 4) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
