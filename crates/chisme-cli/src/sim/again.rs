//! The command that runs a run again: with the same scenario, changes and seed, for any shell.

use std::borrow::Cow;
use std::path::Path;

use chisme_sim::Point;
use chisme_sim::outcome::Outcome;
use chisme_sim::scenario::DetectorMode;

use super::args::Changes;

/// How a scenario is found again, and what was changed in it.
#[derive(Clone, Debug)]
pub(super) struct Again {
    word: String,
    /// Where the word was looked up; none if it is a file, or stands where everybody looks.
    dir: Option<String>,
    /// Keys with their values, as they were given.
    set: Vec<(String, String)>,
}

impl Again {
    /// Of a scenario that was asked for by a word. `dir` is the folder that was named to look it up in.
    pub(super) fn new(word: &str, dir: Option<&Path>, changes: &Changes) -> Self {
        let split = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.trim().to_owned(), value.to_owned())
        };
        Self {
            word: word.to_owned(),
            dir: dir.map(|dir| dir.display().to_string()),
            set: changes.set.iter().map(split).collect(),
        }
    }

    /// Of a file as it stands.
    pub(super) fn file(path: &Path) -> Self {
        Self::new(&path.display().to_string(), None, &Changes::none())
    }

    /// The command.
    pub(super) fn command(&self, point: &Point, run: &Outcome) -> String {
        // A point has the last word on its own keys.
        let given = self.set.iter().filter(|(key, _)| !point.contains_key(key)).cloned();
        let here = point.iter().map(|(key, value)| (key.clone(), value.to_string()));
        let mut set: Vec<(String, String)> = given.chain(here).collect();
        if run.detector == DetectorMode::Baseline && !point.contains_key("detector") {
            set.retain(|(key, _)| key != "detector");
            set.push(("detector".to_owned(), "baseline".to_owned()));
        }
        let mut words = vec![self.word.clone(), "--seed".to_owned(), run.seed.to_string()];
        if let Some(dir) = &self.dir {
            words.extend(["--dir".to_owned(), dir.clone()]);
        }
        for (key, value) in set {
            words.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        let words: Vec<Cow<'_, str>> = words.iter().map(|word| quoted(word)).collect();
        format!("chisme sim replay {}", words.join(" "))
    }
}

/// A word as a shell takes it: a plain one as it is, any other in single quotes.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./=:,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_take_apart_is_quoted() {
        for plain in ["split", "./a-b.toml", "network.loss=0.2"] {
            assert_eq!(quoted(plain), plain);
        }
        assert_eq!(quoted("bad file.toml"), "'bad file.toml'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("fault.0.for=\"1m\""), "'fault.0.for=\"1m\"'");
        assert_eq!(quoted(""), "''");
    }
}
