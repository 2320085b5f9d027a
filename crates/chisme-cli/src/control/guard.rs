//! One connection of the control socket, with a limit on how long its client may not listen.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::Sleep;

/// A stream whose writes fail once its peer has taken nothing for a while. Reading has no limit
/// here: whoever follows events has nothing to say, and half a request is hyper's to time out.
pub(crate) struct Guarded {
    stream: UnixStream,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Guarded {
    /// Wraps `stream`; its peer may take nothing for as long as `patience`.
    pub(crate) const fn new(stream: UnixStream, patience: Duration) -> Self {
        Self { stream, patience, stalled: None }
    }

    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (ours, theirs) = UnixStream::pair().expect("made");
        let mut guarded = Guarded::new(ours, Duration::from_millis(50));
        let endless = async { while guarded.write_all(&[0; 4096]).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), endless).await.expect("given up in time");
        drop(theirs);
    }

    #[tokio::test]
    async fn a_slow_peer_that_takes_something_now_and_then_is_kept() {
        let (ours, mut theirs) = UnixStream::pair().expect("made");
        let mut guarded = Guarded::new(ours, Duration::from_secs(5));
        let sent = vec![7; 1 << 20];
        let mut received = vec![0; sent.len()];
        let (written, read) =
            tokio::join!(guarded.write_all(&sent), theirs.read_exact(&mut received));
        assert!(written.is_ok() && read.is_ok());
        assert_eq!(received, sent);
    }
}
