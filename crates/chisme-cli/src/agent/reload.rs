//! SIGHUP: what is read again, and what then changes in the running node.

use chisme::Cookie;

use super::Told;
use super::state::{AgentState, Origins};
use crate::cookie::{self, Found};
use crate::settings::{MAX_ACCEPTED_COOKIES, Settings, Surroundings};
use crate::usage::UsageError;

/// The cookies of an agent.
#[derive(Clone, Debug)]
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

    /// Also accepts the cookie that was in use until now, if it is another one: the other nodes
    /// learn of the new one later.
    fn after(mut self, before: &Self) -> Self {
        let old = &before.primary.cookie;
        if *old != self.primary.cookie && !self.accepted.contains(old) {
            self.accepted.truncate(MAX_ACCEPTED_COOKIES - 1);
            self.accepted.push(old.clone());
        }
        self
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
    pub(crate) fn reload(&mut self, state: &AgentState) {
        if let Err(problem) = self.try_reload(state) {
            tracing::error!("SIGHUP: nothing is changed: {problem}");
        }
    }

    fn try_reload(&mut self, state: &AgentState) -> Result<(), UsageError> {
        let settings =
            Settings::resolve(&self.told.args, &self.told.matches, &Surroundings::read())?;
        let read = Cookies::read(&settings)?;
        let new_cookies = read.primary.cookie != self.cookies.primary.cookie
            || read.accepted.iter().any(|cookie| !self.cookies.accepted.contains(cookie));
        if new_cookies {
            let cookies = read.after(&self.cookies);
            state.cluster.set_cookie(cookies.primary.cookie.clone(), cookies.accepted.clone());
            if let Some(warning) = cookie::weakness(&cookies.primary) {
                tracing::warn!("{warning}");
            }
            tracing::info!("SIGHUP: the cookie is now that of {}", cookies.primary.origin);
            self.cookies = cookies;
        }
        let new_seeds = settings.seeds.value != self.settings.seeds.value;
        if new_seeds {
            state
                .cluster
                .set_seeds(settings.seeds.value.clone())
                .map_err(|problem| UsageError::new(problem.to_string()))?;
            tracing::info!("SIGHUP: the seeds are now {}", settings.seeds.value.join(" "));
        }
        if !new_cookies && !new_seeds {
            tracing::info!("SIGHUP: neither the cookie nor the seeds have changed");
        }
        state.cluster.refresh_seeds();
        *state.origins.lock().expect("no holder of the lock panics") =
            Origins::of(&settings, &self.cookies.primary);
        self.settings = settings;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(primary: &str, accepted: &[&str]) -> Cookies {
        let cookie = |text: &str| Cookie::new(text).expect("valid");
        Cookies {
            primary: Found { cookie: cookie(primary), origin: "a test".to_owned() },
            accepted: accepted.iter().map(|text| cookie(text)).collect(),
        }
    }

    #[test]
    fn the_cookie_before_is_accepted_within_the_limit() {
        let after = cookies("new", &["a"]).after(&cookies("old", &[]));
        assert_eq!(after.accepted, cookies("new", &["a", "old"]).accepted);
        let same = cookies("same", &["a"]).after(&cookies("same", &[]));
        assert_eq!(same.accepted.len(), 1);
        let full = cookies("new", &["a", "b", "c", "d"]).after(&cookies("old", &[]));
        assert_eq!(full.accepted.len(), MAX_ACCEPTED_COOKIES);
        assert_eq!(full.accepted, cookies("new", &["a", "b", "c", "old"]).accepted);
    }
}
