//! SIGHUP: what is read again, and what then changes in the running node.

use std::collections::BTreeMap;

use chisme::{Cookie, Record, RecordEdit};

use super::Told;
use super::state::{AgentState, Origins};
use crate::cookie::{self, Found};
use crate::settings::{Settings, Surroundings};
use crate::usage::UsageError;

/// The cookies of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookies {
    /// Seals and opens.
    pub(crate) primary: Found,
    /// Only open.
    pub(crate) accepted: Vec<Cookie>,
}

impl Cookies {
    /// Reads the cookies from where `settings` say.
    pub(crate) fn read(settings: &Settings) -> Result<Self, UsageError> {
        let primary = settings.cookie.find()?;
        let accepted = settings
            .accept_cookie_files
            .iter()
            .map(|path| cookie::from_file(path))
            .collect::<Result<_, _>>()?;
        Ok(Self { primary, accepted })
    }
}

/// Reads settings again, and knows which are in use.
pub(crate) struct Reloader {
    told: Told,
    settings: Settings,
    cookies: Cookies,
}

impl Reloader {
    /// `settings` and `cookies` are in use now.
    pub(crate) const fn new(told: Told, settings: Settings, cookies: Cookies) -> Self {
        Self { told, settings, cookies }
    }

    /// Takes over the seeds, cookies, tags and services as they are written now. If anything is wrong with them
    /// everything stays as it is, and the log says why.
    pub(crate) async fn reload(&mut self, state: &AgentState) {
        if let Err(problem) = self.try_reload(state).await {
            tracing::error!("SIGHUP: nothing is changed: {problem:#}");
        }
    }

    async fn try_reload(&mut self, state: &AgentState) -> anyhow::Result<()> {
        let settings =
            Settings::resolve(&self.told.args, &self.told.matches, &Surroundings::read())?;
        let cookies = Cookies::read(&settings)?;
        let cluster = &state.cluster;
        let edits = edits(&self.settings.record, &settings.record, &cluster.record());
        // First: of all that follows it alone can be refused.
        let new_record = !edits.is_empty();
        if new_record {
            cluster.edit_record(RecordEdit::All(edits)).await?;
            tracing::info!("SIGHUP: the tags and services of the file are read anew");
        }
        let new_cookies = cookies != self.cookies;
        if new_cookies {
            // The node still takes what the cookie before has sealed: others learn of the new one later.
            cluster.set_cookie(cookies.primary.cookie.clone(), cookies.accepted.clone()).await?;
            if let Some(warning) = cookie::weakness(&cookies.primary) {
                tracing::warn!("{warning}");
            }
            tracing::info!("SIGHUP: the cookies are read anew ({})", cookies.primary.origin);
        }
        let new_seeds = settings.seeds.value != self.settings.seeds.value;
        if new_seeds {
            cluster.set_seeds(&settings.seeds.value).await?;
            tracing::info!("SIGHUP: the seeds are now {:?}", settings.seeds.value);
        }
        if !new_cookies && !new_seeds && !new_record {
            tracing::info!("SIGHUP: neither cookie nor seeds, tags or services have changed");
        }
        cluster.refresh_seeds().await?;
        *state.origins.lock().expect("no holder of the lock panics") =
            Origins::of(&settings, &cookies.primary);
        self.settings = settings;
        self.cookies = cookies;
        Ok(())
    }
}

/// What must change where the file said `was` and says `is`. What was set at run time under other keys
/// and names is not in either, and stays; what was removed at run time is not `present`.
fn edits(was: &Record, is: &Record, present: &Record) -> Vec<RecordEdit> {
    let mut edits = Vec::new();
    let gone: Vec<String> = missing(&was.tags, &is.tags).collect();
    if !gone.is_empty() {
        edits.push(RecordEdit::RemoveTags(gone));
    }
    let gone = missing(&was.services, &is.services);
    let there = gone.filter(|name| present.services.contains_key(name));
    edits.extend(there.map(RecordEdit::Deregister));
    let tags: BTreeMap<String, String> = new(&was.tags, &is.tags).collect();
    if !tags.is_empty() {
        edits.push(RecordEdit::MergeTags(tags));
    }
    for (name, mut service) in new(&was.services, &is.services) {
        // A status that was set at run time stays, unless the file has another one than before.
        let status = |record: &Record| record.services.get(&name).map(|service| service.status);
        if let Some(now) = status(present).filter(|_| status(was) == Some(service.status)) {
            service.status = now;
        }
        edits.push(RecordEdit::Put(service));
    }
    edits
}

fn missing<V>(was: &BTreeMap<String, V>, is: &BTreeMap<String, V>) -> impl Iterator<Item = String> {
    was.keys().filter(|key| !is.contains_key(*key)).cloned()
}

fn new<V: Clone + PartialEq>(
    was: &BTreeMap<String, V>,
    is: &BTreeMap<String, V>,
) -> impl Iterator<Item = (String, V)> {
    let changed = is.iter().filter(|(key, value)| was.get(*key) != Some(*value));
    changed.map(|(key, value)| (key.clone(), value.clone()))
}
