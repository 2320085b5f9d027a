//! UDP sockets as the driver wants them: large buffers, both families, errors that do not stop it.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::refused::{self, Found};

/// Room for a burst of datagrams while the task waits for its turn; the kernel may give less.
const RECEIVE_BUFFER: usize = 1 << 20;
const SEND_BUFFER: usize = 256 << 10;

/// The most errors of earlier datagrams that are passed over in one go.
const MAX_ERRORS: usize = 64;

/// The sockets of a node: one, or one for each family.
#[derive(Debug)]
pub(crate) struct Sockets {
    all: Vec<Socket>,
    /// Which is read first next time: a flood on one must not keep the other unread.
    turn: usize,
}

#[derive(Debug)]
struct Socket {
    udp: UdpSocket,
    local: SocketAddr,
    /// An IPv6 socket that also takes and sends IPv4.
    dual_stack: bool,
}

impl Sockets {
    /// Binds all of `addrs`, or nothing.
    pub(crate) fn bind(addrs: &[SocketAddr]) -> Result<Self, (SocketAddr, io::Error)> {
        let v4_too = addrs.iter().any(SocketAddr::is_ipv4);
        let sockets = addrs.iter().map(|&addr| {
            let dual_stack = !v4_too && addr.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            Socket::bind(addr, dual_stack).map_err(|error| (addr, error))
        });
        Ok(Self { all: sockets.collect::<Result<_, _>>()?, turn: 0 })
    }

    pub(crate) fn local_addrs(&self) -> Vec<SocketAddr> {
        self.all.iter().map(|socket| socket.local).collect()
    }

    /// Waits until something can be read, be it what ICMP says.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self.all.as_slice() {
            [one] => one.readable().await,
            [one, other, ..] => tokio::select! {
                ready = one.readable() => ready,
                ready = other.readable() => ready,
            },
            [] => std::future::pending().await,
        }
    }

    /// Reads one datagram, if one has arrived on any socket; of several sockets in turn.
    ///
    /// # Errors
    /// `WouldBlock` if nothing has arrived, or what the kernel says of a socket that is broken.
    pub(crate) fn try_receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.turn = self.turn.wrapping_add(1);
        let (before, first) = self.all.split_at(self.turn % self.all.len().max(1));
        let mut last = io::Error::from(io::ErrorKind::WouldBlock);
        for socket in first.iter().chain(before) {
            match socket.try_receive(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => last = error,
                arrived => return arrived,
            }
        }
        Err(last)
    }

    /// Takes what ICMP said of a datagram: that no process listens at this address. What it quotes of the
    /// datagram is then in `buffer`, as many bytes.
    pub(crate) fn try_refused(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.all.iter().find_map(|socket| socket.try_refused(buffer))
    }

    /// Sends one datagram; false if the kernel would not take it.
    pub(crate) fn send(&self, bytes: &[u8], to: SocketAddr) -> bool {
        let Some(socket) = self.all.iter().find(|socket| socket.reaches(to)) else { return false };
        let to = match to {
            SocketAddr::V4(v4) if socket.dual_stack => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            to => to,
        };
        // Straight to the kernel: tokio would want to have seen the socket writable first. An error
        // of an earlier datagram may be reported instead of this one being sent: then once more.
        let raw = SockRef::from(&socket.udp);
        (0..2).any(|_| raw.send_to(bytes, &to.into()).is_ok())
    }
}

impl Socket {
    fn bind(addr: SocketAddr, dual_stack: bool) -> io::Result<Self> {
        let domain = if addr.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let raw = RawSocket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            raw.set_only_v6(!dual_stack)?;
        }
        // A smaller buffer than wished for is no error.
        let _ = raw.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = raw.set_send_buffer_size(SEND_BUFFER);
        raw.set_nonblocking(true)?;
        refused::subscribe(&raw, addr.is_ipv6());
        raw.bind(&addr.into())?;
        let udp = UdpSocket::from_std(raw.into())?;
        let local = udp.local_addr()?;
        Ok(Self { udp, local, dual_stack })
    }

    async fn readable(&self) -> io::Result<()> {
        self.udp.ready(Interest::READABLE | Interest::ERROR).await.map(|_| ())
    }

    fn try_refused(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        for _ in 0..MAX_ERRORS {
            // tokio knows whether there may be something: mostly this costs no call of the kernel.
            match self.udp.try_io(Interest::ERROR, || refused::next(&self.udp, buffer)) {
                Ok(Found::Refused(to, len)) => return Some((len, to)),
                Ok(Found::Other) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        for _ in 0..MAX_ERRORS {
            match self.udp.try_recv_from(buffer) {
                Ok((len, from)) => {
                    return Ok((len, SocketAddr::new(from.ip().to_canonical(), from.port())));
                }
                // The kernel passes on what ICMP said of an earlier datagram: no reason to stop.
                Err(error) if is_about_a_peer(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn reaches(&self, addr: SocketAddr) -> bool {
        self.dual_stack || self.local.is_ipv4() == addr.is_ipv4()
    }
}

/// Errors that an ICMP message caused: they speak of one peer, not of this socket.
fn is_about_a_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable
    ) || refused::is_of_icmp(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_on_one_socket_leaves_the_other_its_turn() {
        let any = ["127.0.0.1:0", "[::1]:0"].map(|addr| addr.parse().expect("an address"));
        let mut sockets = Sockets::bind(&any).expect("both families");
        let [v4, v6] = sockets.local_addrs()[..] else { panic!("two sockets") };
        let sender = |addr: SocketAddr| std::net::UdpSocket::bind(addr).expect("it binds");
        let (from_v4, from_v6) = (sender(any[0]), sender(any[1]));
        (0..100).for_each(|_| assert!(from_v4.send_to(b"flood", v4).is_ok()));
        assert!(from_v6.send_to(b"other", v6).is_ok());

        for socket in &sockets.all {
            socket.udp.readable().await.expect("it is open");
        }
        let mut buffer = [0; 16];
        let mut read = || sockets.try_receive(&mut buffer).expect("one of a hundred").1.is_ipv6();
        let first_two = [read(), read()];
        assert!(first_two.contains(&true), "{first_two:?}");
    }
}
