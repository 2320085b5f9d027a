//! Whose fault a panic is: the node's, the simulator's, or nobody's because a rule was broken.
//!
//! A run never takes its thread down. It knows nothing of clusters.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::outcome::Verdict;

thread_local! {
    /// Whether a node of production is at work on this thread.
    static IN_NODE: Cell<bool> = const { Cell::new(false) };
    /// Whether a panic on this thread is caught and told by us.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// What the last panic said, and where.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Unwinds a run whose verdict is known: the payload of such a panic.
pub(crate) struct Ended(pub(crate) Verdict);

/// Unwinds a run that nobody wants to see the end of.
pub(crate) struct Abandoned;

/// Why a run did not come to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Verdict(Verdict),
    Abandoned,
}

/// Lets a node do something: a panic in there is the node's.
pub(crate) fn node<T>(work: impl FnOnce() -> T) -> T {
    let outer = IN_NODE.replace(true);
    let result = work();
    // Not after a panic: whoever catches it must see where it came from.
    IN_NODE.set(outer);
    result
}

/// Runs to the end, or says why not.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Cause> {
    quiet_hook();
    let outer = CAUGHT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(outer);
    let in_node = IN_NODE.replace(false);
    result.map_err(|payload| judge(payload, in_node))
}

fn judge(payload: Box<dyn Any + Send>, in_node: bool) -> Cause {
    let payload = match payload.downcast::<Ended>() {
        Ok(ended) => return Cause::Verdict(ended.0),
        Err(payload) => payload,
    };
    if payload.is::<Abandoned>() {
        return Cause::Abandoned;
    }
    let what = LAST.take().unwrap_or_else(|| "a panic that said nothing".to_owned());
    Cause::Verdict(if in_node { Verdict::Crashed(what) } else { Verdict::Harness(what) })
}

/// Panics that we catch are told once, by us; all others as before.
fn quiet_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                return others(info);
            }
            let payload = info.payload();
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let said = text.or_else(|| payload.downcast_ref::<&str>().copied());
            let said = said.unwrap_or("a panic without words");
            let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line()));
            let line = said.lines().next().unwrap_or_default();
            LAST.set(Some(format!("{line}{}", place.unwrap_or_default())));
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_laid_at_the_right_door() {
        let Err(Cause::Verdict(Verdict::Crashed(what))) = catch(|| node(|| panic!("in the node")))
        else {
            panic!("not the node's");
        };
        assert!(what.starts_with("in the node (") && what.contains("panics.rs:"), "{what}");
        let Err(Cause::Verdict(Verdict::Harness(what))) = catch(|| {
            node(|| ());
            panic!("outside")
        }) else {
            panic!("not the simulator's");
        };
        assert!(what.starts_with("outside ("), "{what}");
    }

    #[test]
    fn a_run_may_end_with_a_verdict_or_without() {
        let broken = || Verdict::Unsafe("a rule".to_owned());
        let ended = catch(|| panic::panic_any(Ended(broken())));
        assert_eq!(ended, Err::<(), _>(Cause::Verdict(broken())));
        assert_eq!(catch(|| panic::panic_any(Abandoned)), Err::<(), _>(Cause::Abandoned));
        assert_eq!(catch(|| 3), Ok(3));
    }
}
