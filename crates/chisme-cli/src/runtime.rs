//! The per-user directory in which agents leave their control sockets and say who they are. It owns
//! what lies there and who may touch it; it does not know what is said over a socket.
//!
//! Each agent has two files: `NAME.sock`, its control socket, and `NAME.json`, its [`NodeFile`].
//! A socket that refuses connections belongs to nobody any more, and both files are removed.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use chisme::NodeName;
use serde::{Deserialize, Serialize};

use crate::usage::{UsageError, system, tilde};

/// The longest path of a Unix socket, in bytes, on the least generous system.
const MAX_SOCKET_PATH: usize = 103;

/// The most agents of a user and host that are looked at.
const MAX_NODES: usize = 1024;

/// The longest [`NodeFile`] that is read, in bytes.
const MAX_NODE_FILE_BYTES: u64 = 4096;

/// What helps if the directory is not to be used.
const FIX: &str = "choose another by --runtime-dir or CHISME_RUNTIME_DIR";

/// What an agent says about itself to others of the same user and host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeFile {
    /// Its name.
    pub(crate) name: String,
    /// Its process.
    pub(crate) pid: u32,
    /// This run of it.
    pub(crate) session: String,
    /// The cluster that it is in.
    pub(crate) cluster: String,
    /// The addresses that it is bound to.
    pub(crate) addrs: Vec<SocketAddr>,
    /// Its control socket, a file name in the same directory.
    pub(crate) socket: String,
}

/// The directory, checked to be ours alone.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeDir {
    path: PathBuf,
}

/// The right to be the agent of one name in one directory; gives its files back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    json: PathBuf,
    socket: PathBuf,
}

impl RuntimeDir {
    /// The directory that was `asked` for or the default one; made, with mode 0700, if missing.
    ///
    /// # Errors
    /// If it is a symbolic link, belongs to somebody else, or others can write to it.
    pub(crate) fn open(asked: Option<&Path>) -> anyhow::Result<Self> {
        let path = asked.map_or_else(default_path, Path::to_owned);
        if fs::symlink_metadata(&path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|e| {
                let (shown, why) = (path.display(), system(&e));
                anyhow::anyhow!("cannot make the runtime directory {shown}: {why}; {FIX}")
            })?;
        }
        Self::checked(path)
    }

    /// The same directory, for somebody who looks for agents: it is not made.
    ///
    /// # Errors
    /// As for [`open`](Self::open); and if it is missing, because then no agent runs.
    pub(crate) fn find(asked: Option<&Path>) -> anyhow::Result<Self> {
        let path = asked.map_or_else(default_path, Path::to_owned);
        if fs::symlink_metadata(&path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            bail!(nobody_in(&path));
        }
        Self::checked(path)
    }

    fn checked(path: PathBuf) -> anyhow::Result<Self> {
        let (shown, fix) = (path.display(), FIX);
        let metadata = fs::symlink_metadata(&path).map_err(|e| {
            anyhow::anyhow!("cannot look at the runtime directory {shown}: {}; {fix}", system(&e))
        })?;
        if !metadata.is_dir() {
            bail!("the runtime directory {shown} is a symbolic link or a file; {fix}");
        }
        let us = rustix::process::getuid().as_raw();
        if metadata.uid() != us {
            bail!(
                "the runtime directory {shown} belongs to user {}, not to {us}; {fix}",
                metadata.uid()
            );
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o022 != 0 {
            bail!(
                "others can write to the runtime directory {shown} (mode {mode:04o}): chmod 700 \
                 it if it is for this alone, or {fix}"
            );
        }
        Ok(Self { path })
    }

    /// Takes the control socket of `name`, with mode 0600.
    ///
    /// # Errors
    /// If an agent of that name runs here already, or the socket cannot be made.
    pub(crate) fn claim(&self, name: &NodeName) -> anyhow::Result<(Claim, UnixListener)> {
        let stem = self.stem(name.as_str())?;
        let claim = Claim {
            json: self.path.join(format!("{stem}.json")),
            socket: self.path.join(format!("{stem}.sock")),
        };
        let lock = self.lock()?;
        if answers(&claim.socket) {
            let pid = read_node(&claim.json).map_or(String::new(), |n| format!(", pid {}", n.pid));
            // The files are the other agent's.
            std::mem::forget(claim);
            bail!(
                "{name} already runs on this host{pid}: choose another name, or another \
                 --runtime-dir for another cluster"
            );
        }
        claim.remove_files();
        let listener = UnixListener::bind(&claim.socket).with_context(|| {
            format!("cannot make the control socket {}", claim.socket.display())
        })?;
        fs::set_permissions(&claim.socket, Permissions::from_mode(0o600))?;
        drop(lock);
        Ok((claim, listener))
    }

    /// All agents that run, by name. What dead ones left behind is removed.
    pub(crate) fn nodes(&self) -> Vec<NodeFile> {
        let runs = |node: &NodeFile| {
            let runs = answers(&self.path.join(&node.socket));
            if !runs {
                self.clean(node);
            }
            runs
        };
        let mut nodes: Vec<NodeFile> = self.node_files().into_iter().filter(runs).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// Whether the agent of `node` seems to run, at the price of one system call: a process that
    /// lives is taken at its word, and only one that seems dead (it may live in another pid
    /// namespace) is woken by its socket.
    pub(crate) fn seems_live(&self, node: &NodeFile) -> bool {
        let live = process_lives(node.pid) || answers(&self.path.join(&node.socket));
        if !live {
            self.clean(node);
        }
        live
    }

    /// Removes what a dead agent left behind.
    fn clean(&self, node: &NodeFile) {
        let socket = self.path.join(&node.socket);
        if let Ok(_lock) = self.lock() {
            // Somebody may have claimed the name since.
            if !answers(&socket) {
                drop(Claim { json: socket.with_extension("json"), socket });
            }
        }
    }

    /// When an agent last came or went; cheap enough to be asked every other second.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok()
    }

    /// What all agents left here, whether they still run or not.
    pub(crate) fn node_files(&self) -> Vec<NodeFile> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .take(MAX_NODES)
            .filter_map(|path| read_node(&path))
            .collect()
    }

    /// The control socket of the agent that `wanted` names (`node1` or `node1@host`), or of the
    /// only one.
    ///
    /// # Errors
    /// If none runs, or several and none is named: the error lists the choices.
    pub(crate) fn select(&self, wanted: Option<&str>) -> anyhow::Result<PathBuf> {
        let matches = |node: &NodeFile| match wanted {
            None => true,
            Some(text) => {
                node.name == text || node.name.split_once('@').is_some_and(|(n, _)| n == text)
            }
        };
        let nodes = self.nodes();
        let names = |nodes: &[&NodeFile]| {
            nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let all: Vec<&NodeFile> = nodes.iter().collect();
        let chosen: Vec<&NodeFile> = nodes.iter().filter(|node| matches(node)).collect();
        match (chosen.as_slice(), wanted) {
            ([one], _) => Ok(self.path.join(&one.socket)),
            ([], _) if all.is_empty() => bail!(nobody_in(&self.path)),
            ([], Some(text)) => Err(UsageError::new(format!(
                "no agent {text:?} runs here; running: {}",
                names(&all)
            ))
            .into()),
            (several, _) => Err(UsageError::new(format!(
                "several agents run here: choose one of {} by --node NAME or CHISME_NODE",
                names(several)
            ))
            .into()),
        }
    }

    /// The name of the files of `name`: the name itself, or a hash where a path would be too long.
    fn stem(&self, name: &str) -> anyhow::Result<String> {
        let room = MAX_SOCKET_PATH.saturating_sub(self.path.as_os_str().len() + "/.json".len());
        if name.len() <= room {
            return Ok(name.to_owned());
        }
        let hashed = format!("~{:016x}", fnv(name.as_bytes()));
        if hashed.len() > room {
            bail!(
                "the runtime directory {} is too long for a socket in it ({} bytes, at most {}); \
                 choose another by --runtime-dir or CHISME_RUNTIME_DIR",
                self.path.display(),
                self.path.as_os_str().len(),
                MAX_SOCKET_PATH - hashed.len() - "/.json".len()
            );
        }
        Ok(hashed)
    }

    /// Claims and removals come one after another. The lock is on the directory itself.
    fn lock(&self) -> io::Result<File> {
        let dir = File::open(&self.path)?;
        dir.lock()?;
        Ok(dir)
    }
}

impl Claim {
    /// Says who we are. What is read is never half written.
    pub(crate) fn publish(&self, mut node: NodeFile) -> anyhow::Result<()> {
        node.socket = self.socket.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unfinished = self.json.with_extension("new");
        fs::write(&unfinished, serde_json::to_vec(&node)?)
            .and_then(|()| fs::set_permissions(&unfinished, Permissions::from_mode(0o600)))
            .and_then(|()| fs::rename(&unfinished, &self.json))
            .with_context(|| format!("cannot write {}", self.json.display()))
    }

    fn remove_files(&self) {
        // They may be missing: an agent that is starting has no JSON yet.
        _ = fs::remove_file(&self.json);
        _ = fs::remove_file(&self.socket);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.remove_files();
    }
}

fn nobody_in(path: &Path) -> String {
    format!("no agent runs here (looked in {}); start one with `chisme agent`", tilde(path))
}

fn default_path() -> PathBuf {
    let uid = rustix::process::getuid().as_raw();
    // A directory that sudo or a login left to us in the environment may be somebody else's.
    let ours = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.is_dir() && m.uid() == uid);
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && ours(path))
        .or_else(|| Some(PathBuf::from(format!("/run/user/{uid}"))).filter(ours))
        .map_or_else(
            || std::env::temp_dir().join(format!("chisme-{uid}")),
            |user_dir| user_dir.join("chisme"),
        )
}

fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

fn process_lives(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn read_node(path: &Path) -> Option<NodeFile> {
    if fs::metadata(path).ok()?.len() > MAX_NODE_FILE_BYTES {
        return None;
    }
    let node: NodeFile = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    // The socket lies beside its file, wherever the content says.
    let plain = Path::new(&node.socket).file_name() == Some(node.socket.as_ref());
    plain.then_some(node)
}

/// FNV-1a, 64 bits: stable between builds, which the hash of the standard library is not.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).expect("valid")
    }

    fn node(text: &str, pid: u32) -> NodeFile {
        NodeFile {
            name: text.to_owned(),
            pid,
            session: "1".to_owned(),
            cluster: "default".to_owned(),
            addrs: vec!["0.0.0.0:4747".parse().expect("valid")],
            socket: String::new(),
        }
    }

    fn runs(dir: &RuntimeDir, text: &str) -> (Claim, UnixListener) {
        let (claim, listener) = dir.claim(&name(text)).expect("free");
        claim.publish(node(text, std::process::id())).expect("written");
        (claim, listener)
    }

    fn fresh() -> (tempfile::TempDir, RuntimeDir) {
        let temp = tempfile::tempdir().expect("made");
        let dir = RuntimeDir::open(Some(&temp.path().join("run"))).expect("opened");
        (temp, dir)
    }

    #[test]
    fn the_directory_is_private_and_somebody_elses_is_refused() {
        let (temp, dir) = fresh();
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!(mode(&dir.path), 0o700);
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&dir.path, &link).expect("made");
        let error = RuntimeDir::open(Some(&link)).expect_err("a link").to_string();
        assert!(error.contains("symbolic link"), "{error}");
        fs::set_permissions(&dir.path, Permissions::from_mode(0o777)).expect("set");
        let error = RuntimeDir::open(Some(&dir.path)).expect_err("open to all").to_string();
        assert!(error.contains("mode 0777") && error.contains("chmod 700"), "{error}");
    }

    #[test]
    fn who_only_looks_makes_nothing() {
        let temp = tempfile::tempdir().expect("made");
        let path = temp.path().join("run");
        let error = RuntimeDir::find(Some(&path)).expect_err("nobody").to_string();
        assert!(error.contains("no agent runs here") && !path.exists(), "{error}");
        RuntimeDir::open(Some(&path)).expect("made");
        RuntimeDir::find(Some(&path)).expect("there");
        let error = RuntimeDir::open(Some(Path::new("/proc/none"))).expect_err("no").to_string();
        assert!(error.contains("--runtime-dir"), "{error}");
    }

    #[test]
    fn a_name_is_held_once_and_given_back() {
        let (_temp, dir) = fresh();
        let (claim, listener) = runs(&dir, "n1@a");
        assert_eq!(fs::metadata(&claim.socket).expect("there").mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&claim.json).expect("there").mode() & 0o777, 0o600);
        let error = dir.claim(&name("n1@a")).expect_err("held").to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        assert_eq!(dir.nodes().len(), 1, "a refused claim leaves the holder's files alone");
        drop((claim, listener));
        assert!(dir.nodes().is_empty());
        runs(&dir, "n1@a");
    }

    #[test]
    fn what_a_dead_agent_left_is_removed() {
        let (_temp, dir) = fresh();
        let (claim, listener) = dir.claim(&name("n1@a")).expect("free");
        // No process has this number: Linux gives out at most 2^22 of them.
        claim.publish(node("n1@a", 1 << 30)).expect("written");
        assert_eq!(dir.nodes().len(), 1, "its socket answers, whatever its pid looks like");
        drop(listener);
        std::mem::forget(claim);
        assert!(dir.nodes().is_empty());
        assert_eq!(fs::read_dir(&dir.path).expect("there").count(), 0);
    }

    #[test]
    fn one_agent_is_picked_by_itself_and_one_of_several_by_name() {
        let (_temp, dir) = fresh();
        let error = dir.select(None).expect_err("none").to_string();
        assert!(error.contains("no agent runs here"), "{error}");
        let first = runs(&dir, "n1@a");
        assert_eq!(dir.select(None).expect("the only one"), first.0.socket);
        let second = runs(&dir, "n2@a");
        let error = dir.select(None).expect_err("two").to_string();
        assert!(error.contains("n1@a, n2@a") && error.contains("--node"), "{error}");
        assert_eq!(dir.select(Some("n2")).expect("by its first part"), second.0.socket);
        assert_eq!(dir.select(Some("n1@a")).expect("by its name"), first.0.socket);
        let error = dir.select(Some("n3")).expect_err("unknown").to_string();
        assert!(error.contains("\"n3\"") && error.contains("n1@a, n2@a"), "{error}");
    }

    #[test]
    fn a_name_too_long_for_a_socket_is_shortened() {
        let (_temp, dir) = fresh();
        let long = format!("{}@host", "n".repeat(240));
        let (claim, listener) = runs(&dir, &long);
        assert!(claim.socket.as_os_str().len() <= MAX_SOCKET_PATH);
        assert_eq!(dir.select(Some(&long)).expect("found"), claim.socket);
        let other = format!("{}@host", "n".repeat(239));
        assert_ne!(runs(&dir, &other).0.socket, claim.socket);
        drop(listener);
    }

    #[test]
    fn a_directory_too_long_for_a_socket_is_refused_with_the_reason() {
        let temp = tempfile::tempdir().expect("made");
        let path = temp.path().join("d".repeat(120));
        let dir = RuntimeDir::open(Some(&path)).expect("opened");
        let error = dir.claim(&name("n1@a")).expect_err("too long").to_string();
        assert!(error.contains("too long for a socket"), "{error}");
    }
}
