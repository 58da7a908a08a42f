//! What a service manager is told: one datagram to the socket that it named (sd_notify(3)). Node
//! has no such sockets.

use crate::failure;
use napi::Result;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `text` to the socket at `address`: a path, or a name in the abstract namespace after `@`.
pub fn notify(address: &str, text: &str) -> Result<()> {
    let send = || {
        let address = match address.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read is not waited for.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text.as_bytes(), &address)
    };
    send().map(|_| ()).map_err(|error: std::io::Error| failure(format!("{address}: {error}")))
}
