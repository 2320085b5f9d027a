//! How far a sweep is, on a terminal: a bar with the rate and the failures so far.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::style;

/// A bar on stderr, or nothing if that is no terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// For so many runs of a scenario.
    pub(super) fn new(name: &str, total: usize, quiet: bool) -> Self {
        let bar = ProgressBar::new(total as u64);
        if quiet || !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = if style::stderr_has_colours() {
            "{prefix:<22} {bar:24.cyan/dim} {pos}/{len}  {per_sec}  {msg}"
        } else {
            "{prefix:<22} {bar:24} {pos}/{len}  {per_sec}  {msg}"
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant");
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// For nobody knows how many.
    pub(super) fn endless(name: &str) -> Self {
        let bar = Self::new(name, 0, false);
        bar.0.unset_length();
        let style = ProgressStyle::with_template("{prefix:<22} {spinner} {pos} done  {per_sec}");
        bar.0.set_style(style.expect("the template is a constant"));
        bar
    }

    pub(super) fn count(&self, done: u64) {
        self.0.set_position(done);
    }

    /// One more has ended.
    pub(super) fn step(&self, done: usize, failed: usize) {
        self.0.set_position(done as u64);
        if failed > 0 {
            self.0.set_message(format!("{failed} failed"));
        }
    }

    /// A line above the bar.
    pub(super) fn line(&self, text: &str) {
        self.0.suspend(|| crate::output::complain(text));
    }

    pub(super) fn done(self) {
        self.0.finish_and_clear();
    }
}
