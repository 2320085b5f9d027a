//! Stretching cookies, once per process and cookie: it takes tens of milliseconds.

use std::sync::{Mutex, PoisonError};

use chisme_proto::{Cookie, StretchedCookie};

/// The most cookies that are remembered; a process seldom has more than one.
const MAX_REMEMBERED: usize = 8;

static REMEMBERED: Mutex<Vec<(Cookie, StretchedCookie)>> = Mutex::new(Vec::new());

/// The stretched form of `cookie`. Blocks for some 30 ms the first time.
pub(crate) fn stretch(cookie: &Cookie) -> StretchedCookie {
    // Held while stretching: another node of this process that starts now waits for the same result.
    let mut remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, stretched)) = remembered.iter().find(|(known, _)| known == cookie) {
        return stretched.clone();
    }
    let stretched = StretchedCookie::stretch(cookie);
    if remembered.len() == MAX_REMEMBERED {
        remembered.remove(0);
    }
    remembered.push((cookie.clone(), stretched.clone()));
    stretched
}
