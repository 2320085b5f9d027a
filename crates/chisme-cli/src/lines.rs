//! Output that never waits for its reader: lines go through a bounded queue to a thread of their
//! own. A pipe that nobody reads costs lines, not membership; one that is closed costs nothing.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// The most lines that wait for a slow reader; what is beyond is dropped and counted.
const MAX_WAITING_LINES: usize = 4096;

/// Enough for writing a line.
const THREAD_STACK_BYTES: usize = 64 * 1024;

/// Sends lines to a thread that writes them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl Lines {
    /// Starts a thread that writes to `sink`, flushing after every line.
    pub(crate) fn to(name: &str, sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(MAX_WAITING_LINES);
        std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || write_all(sink, &waiting))?;
        Ok(Self { queue, dropped: Arc::default() })
    }

    /// Queues `line`, which brings its own line ending. Never waits.
    pub(crate) fn send(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines a reader that was too slow has missed.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all that was sent is written, at most as long as `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            // It makes no difference whether the time ran out or the reader has gone.
            _ = wait.recv_timeout(limit);
        }
    }
}

/// Ends when the last sender has gone. A sink that failed is not tried again.
fn write_all(mut sink: impl Write, waiting: &Receiver<Message>) {
    let mut open = true;
    for message in waiting {
        match message {
            Message::Line(line) if open => {
                open = sink.write_all(&line).and_then(|()| sink.flush()).is_ok();
            }
            Message::Line(_) => {}
            Message::Flush(done) => _ = done.try_send(()),
        }
    }
}

/// One line for tracing: collected here, sent as a whole.
pub(crate) struct LineWriter {
    lines: Lines,
    line: Vec<u8>,
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.lines.send(std::mem::take(&mut self.line));
        }
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Lines {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        LineWriter { lines: self.clone(), line: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes nothing until it is told to.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let sink = Shared::default();
        let lines = Lines::to("test", sink.clone()).expect("started");
        lines.send(b"one\n".to_vec());
        lines.send(b"two\n".to_vec());
        lines.flush(Duration::from_secs(10));
        assert_eq!(*sink.0.lock().expect("not poisoned"), b"one\ntwo\n");
    }

    #[test]
    fn a_reader_that_never_reads_costs_lines_and_no_time() {
        let (_go, wait) = channel();
        let lines = Lines::to("test", Stuck(wait)).expect("started");
        for _ in 0..MAX_WAITING_LINES + 10 {
            lines.send(b"line\n".to_vec());
        }
        // One may be in the writer's hands.
        assert!((9..=10).contains(&lines.dropped()), "{}", lines.dropped());
    }

    #[test]
    fn a_closed_sink_is_let_go() {
        let lines = Lines::to("test", Closed).expect("started");
        for _ in 0..3 * MAX_WAITING_LINES {
            lines.send(b"line\n".to_vec());
            lines.flush(Duration::from_secs(10));
        }
        assert_eq!(lines.dropped(), 0);
    }
}
