//! Where contacts come from: DNS, lists, files, channels, and whatever an embedder has.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use chisme_proto::{Contact, MAX_SEEDS};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dns::{GATHER_LIMIT, LOOKUP_LIMIT, gather};
use super::{Resolver, Seed, SeedError};

/// What [`SeedSource::contacts`] returns: a boxed future, so that sources of all kinds go together.
pub type SeedFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Contact>, SeedError>> + Send + 'a>>;

/// A way to find first contacts.
///
/// It is asked at the node's cadence: every second to every 15 s while the node sees nobody, about
/// once a minute in company. An answer that takes longer than 5 s counts as a timeout.
pub trait SeedSource: Send + Sync + 'static {
    /// How `status` calls it.
    fn name(&self) -> String;

    /// The addresses to greet now. They add to what the node knows, and remove nothing.
    fn contacts(&self) -> SeedFuture<'_>;
}

/// A fixed list.
#[derive(Clone, Debug)]
pub struct StaticSeeds(pub Vec<Contact>);

impl SeedSource for StaticSeeds {
    fn name(&self) -> String {
        format!("{} fixed addresses", self.0.len())
    }

    fn contacts(&self) -> SeedFuture<'_> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

/// Whatever was sent into a channel last.
#[derive(Clone, Debug)]
pub struct ChannelSeeds(pub watch::Receiver<Vec<Contact>>);

impl SeedSource for ChannelSeeds {
    fn name(&self) -> String {
        "channel".to_owned()
    }

    fn contacts(&self) -> SeedFuture<'_> {
        Box::pin(std::future::ready(Ok(self.0.borrow().clone())))
    }
}

/// One seed text, looked up anew each time.
#[derive(Clone, Debug)]
pub struct DnsSeeds {
    seed: Seed,
    resolver: Resolver,
}

impl DnsSeeds {
    /// Looks `seed` up with `resolver`.
    pub const fn new(seed: Seed, resolver: Resolver) -> Self {
        Self { seed, resolver }
    }
}

impl SeedSource for DnsSeeds {
    fn name(&self) -> String {
        self.seed.to_string()
    }

    fn contacts(&self) -> SeedFuture<'_> {
        Box::pin(self.resolver.contacts(&self.seed))
    }
}

/// A file with one seed a line, read anew each time. Empty lines and those that start with `#` are
/// skipped. A line that is no seed, or cannot be looked up, spoils only itself.
#[derive(Clone, Debug)]
pub struct FileSeeds {
    path: PathBuf,
    resolver: Resolver,
}

/// The longest seed file, in bytes.
const MAX_FILE: u64 = 64 << 10;

impl FileSeeds {
    /// Reads `path` and looks its lines up with `resolver`.
    pub const fn new(path: PathBuf, resolver: Resolver) -> Self {
        Self { path, resolver }
    }

    fn read(&self) -> Result<Vec<Seed>, SeedError> {
        let wrong = |what: &dyn std::fmt::Display| {
            SeedError::Other(format!("{}: {what}", self.path.display()))
        };
        // Opening a pipe waits for its other end, and the whole runtime with it.
        let metadata = std::fs::metadata(&self.path).map_err(|error| wrong(&error))?;
        if !metadata.is_file() {
            return Err(wrong(&"not a regular file"));
        }
        if metadata.len() > MAX_FILE {
            return Err(wrong(&format_args!("longer than {MAX_FILE} bytes")));
        }
        let text = std::fs::read_to_string(&self.path).map_err(|error| wrong(&error))?;
        let lines = text.lines().map(str::trim);
        let wanted = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let seeds = wanted.filter_map(|line| match line.parse() {
            Ok(seed) => Some(seed),
            Err(error) => {
                tracing::warn!(target: "chisme::seed", file = %self.path.display(), "{error}");
                None
            }
        });
        Ok(seeds.take(MAX_SEEDS).collect())
    }
}

impl SeedSource for FileSeeds {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn contacts(&self) -> SeedFuture<'_> {
        Box::pin(async {
            let until = Instant::now() + GATHER_LIMIT;
            let mut lookups = JoinSet::new();
            for seed in self.read()? {
                let resolver = self.resolver.clone();
                lookups.spawn(async move { resolver.contacts(&seed).await });
            }
            Ok(gather(lookups, until).await?.into_iter().flatten().collect())
        })
    }
}

/// What a source said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedOutcome {
    /// It has not answered yet.
    #[default]
    NotAsked,
    /// So many contacts.
    Found(usize),
    /// No contacts, and why. Those found before stay in use.
    Failed(SeedError),
}

/// A look at one source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SeedStatus {
    /// Its name.
    pub source: String,
    /// What it said last.
    pub last: SeedOutcome,
    /// When it said so.
    pub at: Option<SystemTime>,
    /// The contacts in use: its last good answer.
    pub contacts: Vec<SocketAddr>,
}

/// All sources of a node.
pub struct Seeds {
    sources: Vec<Arc<dyn SeedSource>>,
    answers: Mutex<Vec<Answer>>,
}

#[derive(Clone, Debug, Default)]
struct Answer {
    last: SeedOutcome,
    at: Option<SystemTime>,
    good: Vec<Contact>,
}

impl std::fmt::Debug for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|source| source.name())).finish()
    }
}

impl Seeds {
    /// Puts sources together.
    pub fn new(sources: Vec<Box<dyn SeedSource>>) -> Self {
        let sources: Vec<Arc<dyn SeedSource>> = sources.into_iter().map(Arc::from).collect();
        let answers = Mutex::new(vec![Answer::default(); sources.len()]);
        Self { sources, answers }
    }

    /// Asks all sources side by side and gives everything that is known: of a source that fails,
    /// what it said before.
    pub async fn resolve_all(&self) -> Vec<Contact> {
        let mut lookups = JoinSet::new();
        let mut tasks = Vec::new();
        for source in &self.sources {
            let source = Arc::clone(source);
            let task = lookups.spawn(async move {
                let asked = tokio::time::timeout(LOOKUP_LIMIT, source.contacts());
                asked.await.unwrap_or(Err(SeedError::Timeout))
            });
            tasks.push(task.id());
        }
        while let Some(done) = lookups.join_next_with_id().await {
            let (task, result) = match done {
                Ok(done) => done,
                Err(panicked) => (panicked.id(), Err(SeedError::Other(panicked.to_string()))),
            };
            if let Some(n) = tasks.iter().position(|&id| id == task) {
                self.note(n, result);
            }
        }
        self.known()
    }

    fn known(&self) -> Vec<Contact> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Contact> = Vec::new();
        for contact in answers.iter().flat_map(|answer| &answer.good) {
            if all.len() < MAX_SEEDS && !all.contains(contact) {
                all.push(contact.clone());
            }
        }
        all
    }

    fn note(&self, n: usize, result: Result<Vec<Contact>, SeedError>) {
        let source = self.sources[n].name();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = &mut answers[n];
        let last = match &result {
            Ok(contacts) => SeedOutcome::Found(contacts.len()),
            Err(error) => SeedOutcome::Failed(error.clone()),
        };
        if answer.last != last {
            log_change(&source, &last);
        }
        answer.last = last;
        answer.at = Some(SystemTime::now());
        if let Ok(mut contacts) = result
            && !contacts.is_empty()
        {
            contacts.truncate(MAX_SEEDS);
            answer.good = contacts;
        }
    }

    /// What each source said last.
    pub fn status(&self) -> Vec<SeedStatus> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = self.sources.iter().zip(answers.iter());
        rows.map(|(source, answer)| SeedStatus {
            source: source.name(),
            last: answer.last.clone(),
            at: answer.at,
            contacts: answer.good.iter().map(|contact| contact.addr).collect(),
        })
        .collect()
    }
}

/// Once per change: a source that keeps failing is not worth a line a second.
fn log_change(source: &str, outcome: &SeedOutcome) {
    match outcome {
        SeedOutcome::NotAsked => {}
        SeedOutcome::Found(n) => {
            tracing::info!(target: "chisme::seed", source, contacts = n, "seeds found");
        }
        SeedOutcome::Failed(error) => tracing::warn!(
            target: "chisme::seed", source, %error,
            "seed {source}: {error}; asking again, and keeping what was known"
        ),
    }
}
