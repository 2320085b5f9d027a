//! Where the cookie comes from, and the making of a strong one. It never shows a cookie.

use std::fmt;
use std::fs::{Metadata, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chisme::Cookie;
use rand::TryRng;
use rustix::fs::OFlags;
use serde::de::{self, Deserialize, Visitor};

use crate::usage::{UsageError, home, system, tilde};

/// The longest cookie file that is read, in bytes: the longest cookie and a line ending.
const MAX_COOKIE_FILE_BYTES: u64 = 1024 + 2;

/// Permission bits that let others than the owner read or change a file.
const OTHERS: u32 = 0o077;

/// A cookie as the user wrote it. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CookieText(pub(crate) String);

/// Where to take the cookie from, first to last.
#[derive(Clone, Debug, Default)]
pub(crate) struct CookieSources {
    /// Written out: its origin (as "--cookie") and the text.
    pub(crate) text: Option<(String, CookieText)>,
    /// A file that was named: its origin and its path.
    pub(crate) file: Option<(String, PathBuf)>,
}

/// A cookie and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The cookie.
    pub(crate) cookie: Cookie,
    /// For people: "--cookie" or "cookie file ~/.chisme.cookie".
    pub(crate) origin: String,
}

impl CookieSources {
    /// Takes the cookie from the first place that has one. Files are read anew at each call.
    ///
    /// # Errors
    /// If there is none, or the first one found is empty, too long or readable by others: a later
    /// place never stands in for a bad one.
    pub(crate) fn find(&self) -> Result<Found, UsageError> {
        if let Some((origin, text)) = &self.text {
            return checked(&text.0, origin.clone());
        }
        if let Some((origin, path)) = &self.file {
            let what = format!("cookie file {}", path.display());
            let text = read_file(&what, path)
                .map_err(|problem| UsageError::new(format!("{problem} (asked for by {origin})")))?;
            return checked(&text.0, what);
        }
        for path in default_files() {
            if path.symlink_metadata().is_ok() {
                let what = format!("cookie file {}", tilde(&path));
                return checked(&read_file(&what, &path)?.0, what);
            }
        }
        Err(UsageError::new(
            "no cookie: run `chisme cookie` to make ~/.chisme.cookie, and give every node the same \
             one; or name a file by --cookie-file, or set CHISME_COOKIE",
        ))
    }
}

/// Reads a file that is one cookie.
pub(crate) fn from_file(path: &Path) -> Result<Cookie, UsageError> {
    let what = format!("cookie file {}", path.display());
    checked(&read_file(&what, path)?.0, what).map(|found| found.cookie)
}

/// What to say about a cookie that is easily guessed.
pub(crate) fn weakness(found: &Found) -> Option<String> {
    found.cookie.is_weak().then(|| {
        format!(
            "the cookie ({}) has fewer than {} characters and can be guessed from one recorded \
             datagram; `chisme cookie` makes a strong one",
            found.origin,
            chisme::proto::STRONG_COOKIE_LEN
        )
    })
}

/// Refuses a file that others than its owner can read or change; `what` names it for people.
pub(crate) fn check_private(
    what: &str,
    path: &Path,
    metadata: &Metadata,
) -> Result<(), UsageError> {
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    Err(UsageError::new(format!(
        "{what} is readable by others (mode {mode:04o}); chmod 600 {}",
        tilde(path)
    )))
}

/// Makes a new file of mode 0400 with 64 random hexadecimal digits; `None` stands for
/// `~/.chisme.cookie`. Returns its path.
pub(crate) fn make(output: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let path = match output {
        Some(path) => path,
        None => home()
            .map(|home| home.join(".chisme.cookie"))
            .ok_or_else(|| UsageError::new("no home directory is known; give --output FILE"))?,
    };
    let mut random = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut random)
        .map_err(|e| anyhow::anyhow!("the operating system gives no randomness: {e}"))?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path).map_err(
            |e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => anyhow::anyhow!(
                    "{} exists and is not overwritten: nodes that use it would lose their cluster",
                    tilde(&path)
                ),
                _ => anyhow::anyhow!("cannot make {}: {}", tilde(&path), system(&e)),
            },
        )?;
    let mut line: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    line.push('\n');
    if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_all()) {
        // Half a cookie would be taken for one, and stand in the way of the next try.
        _ = std::fs::remove_file(&path);
        anyhow::bail!("cannot write {}: {}", tilde(&path), system(&error));
    }
    Ok(path)
}

fn default_files() -> Vec<PathBuf> {
    let Some(home) = home() else { return Vec::new() };
    vec![home.join(".chisme.cookie"), home.join(".erlang.cookie")]
}

/// `what` names the file for people.
fn read_file(what: &str, path: &Path) -> Result<CookieText, UsageError> {
    let failed = |e: std::io::Error| UsageError::new(format!("{what}: {}", system(&e)));
    // A pipe would hold up whoever opens it: it is opened without waiting, and then refused.
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_wait).open(path).map_err(failed)?;
    // What was opened is what is checked: the path may lead elsewhere by now.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(UsageError::new(format!("{what} is not a file")));
    }
    check_private(what, path, &metadata)?;
    let mut bytes = Vec::new();
    file.take(MAX_COOKIE_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| UsageError::new(format!("{what} is not text (UTF-8)")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(CookieText(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

fn checked(text: &str, origin: String) -> Result<Found, UsageError> {
    match Cookie::new(text) {
        Ok(cookie) => Ok(Found { cookie, origin }),
        Err(problem) => Err(UsageError::new(format!("{origin}: {problem}"))),
    }
}

impl fmt::Debug for CookieText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieText(..)")
    }
}

impl std::str::FromStr for CookieText {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for CookieText {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CookieVisitor)
    }
}

/// Serde's own errors quote a value of the wrong type; a cookie must not be quoted.
struct CookieVisitor;

impl CookieVisitor {
    fn refuse<E: de::Error>() -> Result<CookieText, E> {
        Err(E::custom("`cookie` must be a string"))
    }
}

impl<'de> Visitor<'de> for CookieVisitor {
    type Value = CookieText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<CookieText, E> {
        Ok(CookieText(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<CookieText, E> {
        Self::refuse()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<CookieText, E> {
        Self::refuse()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<CookieText, E> {
        Self::refuse()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<CookieText, E> {
        Self::refuse()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn cookie_file(dir: &Path, content: &str, mode: u32) -> PathBuf {
        let path = dir.join("cookie");
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
        path
    }

    fn find_in(path: PathBuf) -> Result<Found, UsageError> {
        CookieSources { text: None, file: Some(("--cookie-file".to_owned(), path)) }.find()
    }

    #[test]
    fn a_file_gives_its_text_without_the_line_ending() {
        let dir = tempfile::tempdir().expect("made");
        for content in ["malla_secret", "malla_secret\n", "malla_secret\r\n"] {
            let found = find_in(cookie_file(dir.path(), content, 0o600)).expect(content);
            assert_eq!(found.cookie, Cookie::new("malla_secret").expect("valid"));
        }
        let found = find_in(cookie_file(dir.path(), " two \n\n", 0o600)).expect("valid");
        assert_eq!(found.cookie, Cookie::new(" two \n").expect("valid"), "one ending is removed");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_fix() {
        let dir = tempfile::tempdir().expect("made");
        for mode in [0o644, 0o640, 0o604, 0o622] {
            let path = cookie_file(dir.path(), "malla_secret", mode);
            let error = find_in(path.clone()).expect_err("refused").to_string();
            let fix = format!("(mode {mode:04o}); chmod 600 {}", path.display());
            assert!(error.contains(&fix), "{error}");
            assert!(!error.contains("malla_secret"), "{error}");
        }
    }

    #[test]
    fn an_empty_cookie_is_refused_wherever_it_comes_from() {
        let dir = tempfile::tempdir().expect("made");
        let error = find_in(cookie_file(dir.path(), "\n", 0o600)).expect_err("empty").to_string();
        assert!(error.contains("empty") && error.contains("chisme cookie"), "{error}");
        let text = Some(("CHISME_COOKIE".to_owned(), CookieText(String::new())));
        let error = CookieSources { text, file: None }.find().expect_err("empty").to_string();
        assert!(error.starts_with("CHISME_COOKIE: the cookie is empty"), "{error}");
    }

    #[test]
    fn what_is_written_out_comes_before_a_file() {
        let text = Some(("--cookie".to_owned(), CookieText("from the flag".to_owned())));
        let file = Some(("--cookie-file".to_owned(), PathBuf::from("/nonexistent")));
        let found = CookieSources { text, file }.find().expect("found");
        assert_eq!(found.cookie, Cookie::new("from the flag").expect("valid"));
        assert_eq!(found.origin, "--cookie");
    }

    #[test]
    fn a_made_cookie_is_strong_private_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("made");
        let path = make(Some(dir.path().join("new"))).expect("made");
        assert_eq!(path.metadata().expect("there").mode() & 0o777, 0o400);
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.len() == 65 && text.trim_end().chars().all(|c| c.is_ascii_hexdigit()));
        let found = find_in(path.clone()).expect("valid");
        assert!(weakness(&found).is_none());
        let error = make(Some(path.clone())).expect_err("exists").to_string();
        assert!(error.contains("not overwritten"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), text);
        let other = make(Some(dir.path().join("other"))).expect("made");
        assert_ne!(std::fs::read_to_string(other).expect("readable"), text);
    }

    #[test]
    fn a_short_cookie_is_taken_with_a_warning() {
        let dir = tempfile::tempdir().expect("made");
        let found = find_in(cookie_file(dir.path(), "malla_secret", 0o600)).expect("accepted");
        let warning = weakness(&found).expect("weak");
        assert!(warning.contains("chisme cookie") && !warning.contains("malla"), "{warning}");
    }
}
