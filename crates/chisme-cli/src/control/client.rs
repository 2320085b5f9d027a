//! Asks a running agent over its control socket. It knows paths and bytes, and prints nothing.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::wire::{
    BlockRequest, ConnectAnswer, ConnectRequest, EventLine, InstanceRow, MemberRow, PingAnswer,
    PingRequest, Problem, RecordRequest, StatusReport,
};

/// Longer than the agent may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes: 65,536 members of 1 KiB, tags and services included.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The longest line of the event stream, in bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The agent behind one control socket. Every question is a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

/// Why an agent gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("no agent answers at {}: {source}", .socket.display())]
    NoAgent {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It accepted the question and was silent.
    #[error("the agent at {} did not answer within {PATIENCE:?}", .socket.display())]
    Silent {
        /// Where.
        socket: PathBuf,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// What was asked for cannot be, whoever asks.
    #[error("{0}")]
    Wrong(String),
    /// It said what this version does not understand, or stopped in the middle.
    #[error("the agent's answer cannot be used: {0}")]
    Answer(String),
}

impl Client {
    /// The agent whose control socket is at `socket`. Nothing is sent yet.
    pub(crate) fn open(socket: impl AsRef<Path>) -> Self {
        Self { socket: socket.as_ref().to_owned() }
    }

    /// The whole table: itself, others that are up, and those it remembers as Down or Left.
    pub(crate) async fn members(&self) -> Result<Vec<MemberRow>, ClientError> {
        self.ask(Method::GET, "/members", &()).await
    }

    /// All services that members offer, in any status.
    pub(crate) async fn services(&self) -> Result<Vec<InstanceRow>, ClientError> {
        self.ask(Method::GET, "/services", &()).await
    }

    /// The running instances of the service `name`, which is a valid one.
    pub(crate) async fn instances(&self, name: &str) -> Result<Vec<InstanceRow>, ClientError> {
        self.ask(Method::GET, &format!("/instances/{name}"), &()).await
    }

    /// Has the agent change what it says of itself.
    pub(crate) async fn edit_record(&self, request: &RecordRequest) -> Result<(), ClientError> {
        self.ask(Method::POST, "/record", request).await
    }

    /// The names of the other nodes that are up.
    pub(crate) async fn nodes(&self) -> Result<Vec<String>, ClientError> {
        self.ask(Method::GET, "/nodes", &()).await
    }

    /// Has the agent connect to `peer`, in the grammar of seeds.
    pub(crate) async fn connect(&self, peer: &str) -> Result<ConnectAnswer, ClientError> {
        self.ask(Method::POST, "/connect", &ConnectRequest { peer: peer.to_owned() }).await
    }

    /// Has the agent measure a round trip to `name`.
    pub(crate) async fn ping(&self, name: &str) -> Result<PingAnswer, ClientError> {
        self.ask(Method::POST, "/ping", &PingRequest { name: name.to_owned() }).await
    }

    /// What the agent is doing.
    pub(crate) async fn status(&self) -> Result<StatusReport, ClientError> {
        self.ask(Method::GET, "/status", &()).await
    }

    /// Has the agent say goodbye and stop.
    pub(crate) async fn leave(&self) -> Result<(), ClientError> {
        self.ask(Method::POST, "/leave", &()).await
    }

    /// Has the agent ask its seeds now.
    pub(crate) async fn refresh(&self) -> Result<(), ClientError> {
        self.ask(Method::POST, "/refresh", &()).await
    }

    /// Has the agent drop all datagrams from and to `addrs`; an empty list lifts the block.
    pub(crate) async fn block(&self, addrs: Vec<SocketAddr>) -> Result<(), ClientError> {
        self.ask(Method::POST, "/block", &BlockRequest { addrs }).await
    }

    /// Follows the agent's events, from a `snapshot` on.
    pub(crate) async fn events(&self) -> Result<EventStream, ClientError> {
        let body = self.timed(self.send(Method::GET, "/events", &())).await?;
        Ok(EventStream { body, unread: Vec::new() })
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        question: &impl Serialize,
    ) -> Result<A, ClientError> {
        let whole = async {
            let body = self.send(method, path, question).await?;
            let bytes = collect(body).await?;
            serde_json::from_slice(&bytes).map_err(|e| ClientError::Answer(e.to_string()))
        };
        self.timed(whole).await
    }

    async fn timed<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Silent { socket: self.socket.clone() }),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        question: &impl Serialize,
    ) -> Result<Incoming, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::NoAgent { socket: self.socket.clone(), source })?;
        let broken = |e: hyper::Error| ClientError::Answer(e.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends with the answer, or when the caller drops the body.
        tokio::spawn(connection);
        let question = match method {
            Method::GET => Vec::new(),
            _ => serde_json::to_vec(question).map_err(|e| ClientError::Answer(e.to_string()))?,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "chisme")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(question)))
            .map_err(|e| ClientError::Answer(e.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        let status = response.status();
        let bytes = collect(response.into_body()).await?;
        let why = serde_json::from_slice::<Problem>(&bytes)
            .map_or_else(|_| format!("the agent answered {status}"), |problem| problem.error);
        Err(match status {
            StatusCode::UNPROCESSABLE_ENTITY => ClientError::Wrong(why),
            _ => ClientError::Refused(why),
        })
    }
}

async fn collect(body: Incoming) -> Result<Bytes, ClientError> {
    Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|e| ClientError::Answer(e.to_string()))
}

/// The events of an agent, one by one.
#[derive(Debug)]
pub(crate) struct EventStream {
    body: Incoming,
    unread: Vec<u8>,
}

impl EventStream {
    /// The next event; none when the agent has stopped. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<EventLine>, ClientError> {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|e| ClientError::Answer(e.to_string()));
            }
            if self.unread.len() > MAX_LINE_BYTES {
                return Err(ClientError::Answer("a line without an end".to_owned()));
            }
            match self.body.frame().await {
                // An agent that was killed ends in the middle of the stream.
                None | Some(Err(_)) => return Ok(None),
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.unread.extend_from_slice(bytes);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    /// Answers one request with `parts`, one after the other, and hangs up.
    fn agent_that_says(dir: &Path, parts: &'static [&'static str]) -> Client {
        let socket = dir.join("agent.sock");
        let listener = UnixListener::bind(&socket).expect("made");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 4096];
            _ = stream.read(&mut request).await.expect("a request");
            for part in parts {
                stream.write_all(part.as_bytes()).await.expect("taken");
                tokio::task::yield_now().await;
            }
        });
        Client::open(socket)
    }

    #[tokio::test]
    async fn nobody_at_the_socket_is_said_with_its_path() {
        let dir = tempfile::tempdir().expect("made");
        let socket = dir.path().join("none.sock");
        let error = Client::open(&socket).nodes().await.expect_err("nobody").to_string();
        assert!(error.contains(&socket.display().to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_agents_words() {
        let dir = tempfile::tempdir().expect("made");
        let answer =
            &["HTTP/1.1 503 Busy\r\ncontent-length: 20\r\n\r\n", "{\"error\":\"too many\"}"];
        let error = agent_that_says(dir.path(), answer).nodes().await.expect_err("refused");
        assert_eq!(error.to_string(), "too many");
    }

    #[tokio::test]
    async fn an_answer_cut_short_is_an_error() {
        let dir = tempfile::tempdir().expect("made");
        let answer = &["HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n", "[\"n2@a\""];
        let error = agent_that_says(dir.path(), answer).nodes().await.expect_err("cut short");
        assert!(matches!(error, ClientError::Answer(_)), "{error}");
    }

    #[tokio::test]
    async fn events_come_whole_however_they_are_cut() {
        let dir = tempfile::tempdir().expect("made");
        let answer = &[
            "HTTP/1.1 200 OK\r\n\r\n{\"t\":1,\"node\":\"n1@a\",\"event\":\"up\",\"pe",
            "er\":\"n2@a\",\"n\":2}\n{\"t\":2,\"node\":\"n1@a\",\"event\":\"down\",\"peer\":\"n2@a\",\"n\":1}",
            "\n",
        ];
        let mut events = agent_that_says(dir.path(), answer).events().await.expect("a stream");
        let up = events.next().await.expect("valid").expect("one");
        assert_eq!((up.event.as_str(), up.peer.as_deref(), up.n), ("up", Some("n2@a"), 2));
        let down = events.next().await.expect("valid").expect("two");
        assert_eq!((down.event.as_str(), down.n), ("down", 1));
        assert_eq!(events.next().await.expect("valid"), None);
    }
}
