//! The error queue of a UDP socket: what ICMP says of datagrams that found no socket.
//!
//! Linux only (`IP_RECVERR`, ip(7)); elsewhere nothing is ever heard. It knows sockets, nothing of
//! what a node makes of it. Whatever it finds, the socket goes on receiving.

use std::io;
use std::net::SocketAddr;

#[cfg(target_os = "linux")]
pub(crate) use linux::{is_of_icmp, next, subscribe};

/// What one look at the queue found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No process listens at this address; so many bytes of what was sent there are quoted.
    Refused(SocketAddr, usize),
    /// Something else, which says nothing of a process.
    Other,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::IoSliceMut;
    use std::os::fd::{AsFd, AsRawFd};

    use nix::errno::Errno;
    use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};

    use super::{Found, SocketAddr, io};

    /// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6`, linux/errqueue.h: the network said it, not this
    /// host's own stack.
    const FROM_ICMP: [u8; 2] = [2, 3];

    /// Room for one `sock_extended_err` and the address of whoever complained, with their header.
    const CONTROL_LEN: usize = 128;

    /// Errors that ICMP's other messages become (icmp_err_convert in the kernel); std has no names for
    /// them.
    const OF_ICMP: [Errno; 7] = [
        Errno::ENOPROTOOPT,
        Errno::EMSGSIZE,
        Errno::EOPNOTSUPP,
        Errno::EHOSTDOWN,
        Errno::ENONET,
        Errno::EPROTO,
        Errno::EACCES,
    ];

    /// Whether an error of a call is what ICMP said of an earlier datagram.
    pub(crate) fn is_of_icmp(error: &io::Error) -> bool {
        error.raw_os_error().is_some_and(|raw| OF_ICMP.contains(&Errno::from_raw(raw)))
    }

    /// From now on the socket keeps what ICMP says. One that cannot is no worse than before.
    pub(crate) fn subscribe(socket: &impl AsFd, is_v6: bool) {
        // An IPv6 socket may send IPv4 too.
        let _ = setsockopt(socket, Ipv4RecvErr, &true);
        if is_v6 {
            let _ = setsockopt(socket, Ipv6RecvErr, &true);
        }
    }

    /// Takes the first message out of the queue; what it quotes is then in `buffer`.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    pub(crate) fn next(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<Found> {
        let mut control = [0; CONTROL_LEN];
        let mut quoted = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let fd = socket.as_fd().as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut quoted, Some(&mut control), flags)?;
        let said = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|one| match one {
                ControlMessageOwned::Ipv4RecvErr(said, _)
                | ControlMessageOwned::Ipv6RecvErr(said, _) => Some(said),
                _ => None,
            })
        });
        let refused = said.is_some_and(|said| {
            said.ee_errno == Errno::ECONNREFUSED as u32 && FROM_ICMP.contains(&said.ee_origin)
        });
        let to = message.address.as_ref().and_then(address).filter(|_| refused);
        Ok(to.map_or(Found::Other, |to| Found::Refused(to, message.bytes)))
    }

    fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
        let (v4, v6) = (storage.as_sockaddr_in(), storage.as_sockaddr_in6());
        let v4 = v4.map(|addr| SocketAddr::from((addr.ip(), addr.port())));
        let to = v4.or(v6.map(|addr| SocketAddr::from((addr.ip(), addr.port()))))?;
        Some(SocketAddr::new(to.ip().to_canonical(), to.port()))
    }
}

/// Nothing is kept.
#[cfg(not(target_os = "linux"))]
pub(crate) fn subscribe(_: &socket2::Socket, _: bool) {}

/// std has names for those that other systems report.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn is_of_icmp(_: &io::Error) -> bool {
    false
}

/// There is never anything.
#[cfg(not(target_os = "linux"))]
pub(crate) fn next(_: &tokio::net::UdpSocket, _: &mut [u8]) -> io::Result<Found> {
    Err(io::ErrorKind::WouldBlock.into())
}
