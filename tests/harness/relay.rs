//! A UDP relay that remembers what went through it: how a test gets hold of authentic datagrams.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// More than this is passed on but not remembered.
const REMEMBERED: usize = 10_000;

/// Stands between two addresses until it is dropped: what `target` sends to it goes to `other`, and
/// what anybody else sends to it goes to `target` and is remembered.
pub(crate) struct Relay {
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    socket: UdpSocket,
}

impl Relay {
    /// Listens at `front`.
    pub(crate) fn start(front: &str, target: &str, other: &str) -> Self {
        let target: SocketAddr = target.parse().expect("an address");
        let other: SocketAddr = other.parse().expect("an address");
        let socket = UdpSocket::bind(front).expect("the relay's address is free");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a read timeout");
        let (seen, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            let socket = socket.try_clone().expect("a second handle");
            move || {
                let mut buffer = [0; 65_536];
                while !stop.load(Ordering::Relaxed) {
                    let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                    if from == target {
                        let _ = socket.send_to(&buffer[..len], other);
                        continue;
                    }
                    let _ = socket.send_to(&buffer[..len], target);
                    let mut seen = seen.lock().expect("not poisoned");
                    if seen.len() < REMEMBERED {
                        seen.push(buffer[..len].to_vec());
                    }
                }
            }
        });
        Self { seen, stop, thread: Some(thread), socket }
    }

    /// What has gone through to the target, oldest first.
    pub(crate) fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// Sends something from the relay's own address.
    pub(crate) fn send(&self, bytes: &[u8], to: &str) {
        self.socket.send_to(bytes, to).expect("loopback takes it");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
