//! SIGHUP: what is read again, and what then changes in the running node.

use chisme::Cookie;

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

    /// Takes over the seeds and cookies as they are written now. If anything is wrong with them
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
        if !new_cookies && !new_seeds {
            tracing::info!("SIGHUP: neither the cookie nor the seeds have changed");
        }
        cluster.refresh_seeds().await?;
        *state.origins.lock().expect("no holder of the lock panics") =
            Origins::of(&settings, &cookies.primary);
        self.settings = settings;
        self.cookies = cookies;
        Ok(())
    }
}
