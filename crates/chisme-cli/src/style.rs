//! Colours, and when there are none: only on a terminal, and never with `NO_COLOR`.

use std::io::IsTerminal;

use comfy_table::{Cell, Color, Table, presets};

/// Whether stdout is a terminal on which what was written can be written over.
pub(crate) fn stdout_is_live() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !dumb && std::io::stdout().is_terminal()
}

/// Whether stdout shows colours.
pub(crate) fn stdout_has_colours() -> bool {
    wanted() && std::io::stdout().is_terminal()
}

/// Whether stderr shows colours.
pub(crate) fn stderr_has_colours() -> bool {
    wanted() && std::io::stderr().is_terminal()
}

fn wanted() -> bool {
    // https://no-color.org: present and not empty.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A table without lines, that pipes well.
pub(crate) fn table(colours: bool, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    if colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// A cell with the state of a member, in its colour.
pub(crate) fn state(state: &str) -> Cell {
    let cell = Cell::new(state);
    match colour(state) {
        Some(colour) => cell.fg(colour),
        None => cell,
    }
}

/// The colour of a state or an event.
fn colour(word: &str) -> Option<Color> {
    match word {
        "alive" | "up" | "recovered" | "ready" => Some(Color::Green),
        "suspect" => Some(Color::Yellow),
        "down" => Some(Color::Red),
        "left" => Some(Color::DarkGrey),
        _ => None,
    }
}

/// `word` in the colour of the event that it names.
pub(crate) fn event(word: &str, colours: bool) -> String {
    let code = match colour(word) {
        Some(Color::Green) => 32,
        Some(Color::Yellow) => 33,
        Some(Color::Red) => 31,
        Some(Color::DarkGrey) => 90,
        _ => 0,
    };
    if colours && code != 0 { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
}
