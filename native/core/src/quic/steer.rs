//! Steering in the kernel: a classic BPF program on the reuseport group reads the shard out of a
//! packet's connection ID, so that a connection's packets reach its shard whatever address they
//! come from. Where the kernel refuses it, shards hand packets over among themselves.
//!
//! A result that is no socket's number makes the kernel fall back to hashing the addresses, which
//! is what a first packet with an ID of the client's choosing gets in most cases, and is harmless
//! in the others: its shard mints the next ID.

use super::cid::{CID_BYTES, CidKey};
use std::io;
use std::os::fd::RawFd;

const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const LOAD_WORD_INDEXED: u16 = 0x40; // BPF_LD | BPF_W | BPF_IND
const LOAD_BYTE_INDEXED: u16 = 0x50; // BPF_LD | BPF_B | BPF_IND
const LOAD_X: u16 = 0x01; // BPF_LDX | BPF_IMM
const STORE: u16 = 0x02; // BPF_ST
const LOAD_X_STORED: u16 = 0x61; // BPF_LDX | BPF_MEM
const A_TO_X: u16 = 0x07; // BPF_MISC | BPF_TAX
const LOAD_STORED: u16 = 0x60; // BPF_LD | BPF_MEM
const AND: u16 = 0x54;
const XOR: u16 = 0xa4;
const XOR_X: u16 = 0xac;
const MULTIPLY: u16 = 0x24;
const SHIFT_RIGHT: u16 = 0x74;
const JUMP_SET: u16 = 0x45;
const JUMP_EQUAL: u16 = 0x15;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;
const RETURN_A: u16 = 0x16;

/// Attaches the program to a socket's group. One call serves the whole group; sockets are numbered
/// in the order they were bound.
pub fn attach(fd: RawFd, shards: u32, key: &CidKey) -> io::Result<()> {
    let program = program(shards, key);
    let header = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program during the call.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const header).cast(),
            size_of_val(&header) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The program; X holds the offset of the connection ID in the UDP payload.
fn program(shards: u32, key: &CidKey) -> Vec<libc::sock_filter> {
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let plain = |code, k| step(code, k, 0, 0);
    let none = u32::MAX;
    vec![
        plain(LOAD_BYTE, 0),
        step(JUMP_SET, 0x80, 2, 0), // long header?
        plain(LOAD_X, 1),           // short header: the ID follows the first byte
        plain(JUMP, 4),
        plain(LOAD_BYTE, 5), // long header: its length stands after the version
        step(JUMP_EQUAL, CID_BYTES as u32, 1, 0),
        plain(RETURN, none),
        plain(LOAD_X, 6),
        // mask = mix(nonce)
        plain(LOAD_WORD_INDEXED, 4),
        plain(XOR, key.whiten),
        plain(MULTIPLY, key.first),
        plain(STORE, 0),
        plain(SHIFT_RIGHT, 15),
        plain(STORE, 1),
        plain(LOAD_BYTE_INDEXED, 0),
        plain(STORE, 2),
        plain(LOAD_X_STORED, 1),
        plain(LOAD_STORED, 0),
        plain(XOR_X, 0),
        plain(MULTIPLY, key.second),
        plain(SHIFT_RIGHT, 16),
        plain(AND, 0xff),
        plain(A_TO_X, 0),
        plain(LOAD_STORED, 2),
        plain(XOR_X, 0),
        step(0x35, shards, 0, 1), // BPF_JGE: no shard of ours
        plain(RETURN, none),
        plain(RETURN_A, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quic::{receive::Receiver, socket};
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    #[test]
    fn packets_reach_the_shard_their_id_names_whatever_address_they_come_from() {
        let key = CidKey::new(&[0x3c; 32]);
        let first = socket::open("127.0.0.1:0".parse().unwrap(), 1 << 20, 1 << 20).unwrap();
        let address = socket::local_address(first.as_raw_fd()).unwrap();
        let second = socket::open(address, 1 << 20, 1 << 20).unwrap();
        attach(second.as_raw_fd(), 2, &key).unwrap();
        let mut receiver = Receiver::default();
        for round in 0..60u32 {
            let shard = (round % 2) as u8;
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            let cid = key.mint(shard, 0).to_be_bytes();
            let mut packet = vec![0x40];
            if round % 3 == 0 {
                packet = vec![0xc0, 0, 0, 0, 1, CID_BYTES as u8];
            }
            packet.extend_from_slice(&cid);
            packet.extend_from_slice(&[0; 32]);
            client.send_to(&packet, address).unwrap();
            let (right, wrong) = if shard == 0 { (&first, &second) } else { (&second, &first) };
            assert_eq!(receiver.receive(right.as_raw_fd()).0, 1, "round {round}");
            assert_eq!(receiver.receive(wrong.as_raw_fd()).0, 0);
        }
    }

    #[test]
    fn a_first_packet_with_an_id_of_another_length_is_spread_by_address() {
        let key = CidKey::new(&[0x3c; 32]);
        let first = socket::open("127.0.0.1:0".parse().unwrap(), 1 << 20, 1 << 20).unwrap();
        let address = socket::local_address(first.as_raw_fd()).unwrap();
        let second = socket::open(address, 1 << 20, 1 << 20).unwrap();
        attach(second.as_raw_fd(), 2, &key).unwrap();
        let mut packet = vec![0xc0, 0, 0, 0, 1, 20];
        packet.extend_from_slice(&[7; 60]);
        for _ in 0..40 {
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&packet, address).unwrap();
        }
        let mut receiver = Receiver::default();
        let mut count = |fd| {
            let mut total = 0;
            while let (taken @ 1.., _) = receiver.receive(fd) {
                total += taken;
            }
            total
        };
        let (one, two) = (count(first.as_raw_fd()), count(second.as_raw_fd()));
        assert_eq!(one + two, 40);
        assert!(one > 0 && two > 0);
    }
}
