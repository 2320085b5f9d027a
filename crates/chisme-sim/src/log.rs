//! What the nodes of a run log as an error. None of it is legal.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Errors kept; a node that logs more has been found out already.
const KEPT: usize = 16;

/// What was logged as an error while [`listen`](Errors::listen) ran.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors(Arc<Mutex<Vec<String>>>);

impl Errors {
    /// Does the work, and notes every error that is logged on this thread meanwhile.
    pub(crate) fn listen<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(Listener(self.clone()), work)
    }

    /// The first one.
    pub(crate) fn first(&self) -> Option<String> {
        self.0.lock().expect("nothing panics while it is held").first().cloned()
    }
}

struct Listener(Errors);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        let mut errors = self.0.0.lock().expect("nothing panics while it is held");
        if errors.len() < KEPT {
            errors.push(line.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, ": {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        written.expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_noted_and_lesser_lines_are_not() {
        let errors = Errors::default();
        errors.listen(|| {
            tracing::warn!("only a warning");
            tracing::error!(members = 3, "the table is wrong");
        });
        let first = errors.first().expect("an error was logged");
        assert!(first.contains("the table is wrong") && first.contains("members=3"), "{first}");
        tracing::error!("nobody listens any more");
        assert_eq!(errors.0.lock().expect("free").len(), 1);
    }
}
