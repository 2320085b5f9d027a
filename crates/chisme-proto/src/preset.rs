//! Settings of the failure detector that fit together, by what they are for.

use std::time::Duration;

use crate::Detector;

/// A set of settings for the failure detector. All members of a cluster should have the same.
///
/// `simulations/preset-sweep.toml` and `simulations/pause-ladder.toml` measure what each of them
/// does; simulations/README.md has the figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// One data centre, round trips up to some tens of milliseconds. A process may be frozen for 3 s
    /// (a garbage collection, a virtual machine that moves) and is not called Down; one that is frozen for
    /// 3.5 s may be.
    #[default]
    Lan,
    /// The same network for those who would rather know soon: a process may be frozen for 1.5 s, one that
    /// is frozen for 2 s may be called Down, and the load at rest is higher.
    Fast,
    /// Between continents: round trips up to 300 ms and more. A process may be frozen for 3.5 s; one that is
    /// frozen for 4 s may be called Down.
    Wan,
    /// Processes of one host, over loopback: nothing is lost on the way. A process may be frozen for
    /// 2 s; one that is frozen for 2.5 s may be called Down.
    Local,
}

impl Preset {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Lan, Self::Fast, Self::Wan, Self::Local];

    /// Its name in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Fast => "fast",
            Self::Wan => "wan",
            Self::Local => "local",
        }
    }

    /// What it stands for.
    pub fn detector(self) -> Detector {
        match self {
            Self::Lan => Detector::default(),
            Self::Fast => Detector::fast(),
            Self::Wan => Detector::wan(),
            Self::Local => Detector::local(),
        }
    }
}

impl std::fmt::Display for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of no preset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no preset: lan, fast, wan and local are")]
pub struct UnknownPreset(pub String);

impl std::str::FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(text: &str) -> Result<Self, UnknownPreset> {
        let named = Self::ALL.into_iter().find(|preset| preset.as_str() == text);
        named.ok_or_else(|| UnknownPreset(text.to_owned()))
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Detector {
    /// See [`Preset::Lan`]: the default.
    pub fn lan() -> Self {
        Self::default()
    }

    /// See [`Preset::Fast`].
    pub fn fast() -> Self {
        Self {
            probe_period: ms(600),
            probe_timeout: ms(250),
            suspicion_timeout: ms(1_000),
            reprobe_period: ms(75),
            gossip_period: ms(50),
            ..Self::lan()
        }
    }

    /// See [`Preset::Wan`].
    pub fn wan() -> Self {
        Self {
            probe_period: ms(1_100),
            probe_timeout: ms(550),
            suspicion_timeout: ms(2_500),
            reprobe_period: ms(400),
            gossip_period: ms(200),
            ..Self::lan()
        }
    }

    /// See [`Preset::Local`].
    pub fn local() -> Self {
        Self {
            probe_period: ms(500),
            probe_timeout: ms(200),
            suspicion_timeout: ms(1_500),
            reprobe_period: ms(100),
            gossip_period: ms(50),
            ..Self::lan()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_name_of_its_own_and_settings_that_fit_together() {
        for preset in Preset::ALL {
            assert_eq!(preset.as_str().parse(), Ok(preset));
            let detector = preset.detector();
            assert!(detector.probe_timeout <= detector.probe_period / 2, "{preset}");
            assert!(detector.suspicion_timeout >= detector.probe_timeout, "{preset}");
            assert!(detector.reprobe_period * 3 <= detector.suspicion_timeout, "{preset}");
        }
        assert!("LAN".parse::<Preset>().is_err());
    }
}
