//! Who sees whom: the table of all views, and the terminal that it lives on.

use std::io::{self, Write};
use std::time::Instant;

use comfy_table::Cell;

use crate::control::wire::ViewLine;
use crate::style;

/// How one agent sees another, in the words of events and states; none if it has not heard of it.
pub(super) type Seen = Option<&'static str>;

/// Which words of an event change how a peer is seen, and to what.
pub(super) fn seen_after(event: &str) -> Seen {
    match event {
        "up" | "recovered" => Some("alive"),
        "suspect" => Some("suspect"),
        "down" => Some("down"),
        "left" => Some("left"),
        _ => None,
    }
}

/// One agent's row.
pub(super) struct Row {
    /// Its name.
    pub(super) name: String,
    /// Why it has no view, if so: `killed`, `left`.
    pub(super) gone: Option<&'static str>,
    /// How it sees the agents, in the order of the rows; itself too, which does not matter.
    pub(super) sees: Vec<Seen>,
}

/// A row for each observer, a column for each that is seen. It fits in 80 columns.
fn render(rows: &[Row], colours: bool) -> String {
    let short = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let heads: Vec<String> = rows.iter().map(|row| short(&row.name)).collect();
    let mut header = vec!["SEEN BY"];
    header.extend(heads.iter().map(String::as_str));
    let mut table = style::table(colours, &header);
    for (n, row) in rows.iter().enumerate() {
        let mut cells = vec![Cell::new(&row.name)];
        for (m, seen) in row.sees.iter().enumerate() {
            cells.push(match (row.gone, seen) {
                (Some(gone), _) if n == m => style::state(gone),
                (Some(_), _) => Cell::new(""),
                (None, _) if n == m => Cell::new("-"),
                (None, Some(state)) => style::state(state),
                (None, None) => Cell::new("?"),
            });
        }
        table.add_row(cells);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Where the demo writes: lines that scroll and, on a terminal, a table below them that stays.
pub(super) struct Screen {
    started: Instant,
    live: bool,
    colours: bool,
    /// How many lines the table below takes now.
    drawn: usize,
}

impl Screen {
    /// Standard output.
    pub(super) fn new() -> Self {
        let (live, colours) = (style::stdout_is_live(), style::stdout_has_colours());
        Self { started: Instant::now(), live, colours, drawn: 0 }
    }

    /// Starts a part of the story.
    pub(super) fn title(&mut self, text: &str, rows: &[Row]) -> io::Result<()> {
        let text =
            if self.colours { format!("\n\x1b[1m{text}\x1b[0m") } else { format!("\n{text}") };
        self.write(&text, rows)
    }

    /// A line with the time since the start.
    pub(super) fn say(&mut self, text: &str, rows: &[Row]) -> io::Result<()> {
        let line = format!("{:6.2} s  {text}", self.started.elapsed().as_secs_f64());
        self.write(&line, rows)
    }

    /// A line without a time.
    pub(super) fn note(&mut self, text: &str, rows: &[Row]) -> io::Result<()> {
        self.write(text, rows)
    }

    /// Shows what an agent said: on a terminal the table does, and a hundred lines in a few seconds
    /// would be in its way.
    pub(super) fn event(&mut self, line: &ViewLine, rows: &[Row]) -> io::Result<()> {
        if self.live {
            return self.write("", rows);
        }
        let word = style::event(&line.event, self.colours);
        self.say(&format!("{}: {word} {}, {} up", line.node, line.peer, line.n), rows)
    }

    /// The table among the lines: it stays where it is.
    pub(super) fn table(&mut self, rows: &[Row]) -> io::Result<()> {
        if self.live {
            return self.write("", rows);
        }
        let table = indented(&render(rows, self.colours));
        self.write(&table, rows)
    }

    fn write(&mut self, text: &str, rows: &[Row]) -> io::Result<()> {
        let mut whole = String::new();
        if self.drawn > 0 {
            // Up to where the table starts, and everything from there goes.
            whole.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
        }
        if !text.is_empty() {
            whole.push_str(text);
            whole.push('\n');
        }
        self.drawn = 0;
        if self.live && !rows.is_empty() {
            let table = format!("\n{}\n", indented(&render(rows, self.colours)));
            self.drawn = table.lines().count();
            // On a narrow terminal its lines are cut off, not wrapped: their number counts above.
            whole.push_str(&format!("\x1b[?7l{table}\x1b[?7h"));
        }
        let mut out = io::stdout().lock();
        out.write_all(whole.as_bytes())?;
        out.flush()
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, gone: Option<&'static str>, sees: [Seen; 3]) -> Row {
        Row { name: name.into(), gone, sees: sees.to_vec() }
    }

    #[test]
    fn the_table_shows_who_sees_whom() {
        let rows = [
            row("n1@x", None, [None, Some("alive"), Some("suspect")]),
            row("n2@x", None, [Some("alive"), None, None]),
            row("n3@x", Some("killed"), [Some("alive"); 3]),
        ];
        let text = render(&rows, false);
        let words = |n: usize| text.lines().nth(n).expect("a line").split_whitespace();
        assert!(words(0).eq(["SEEN", "BY", "n1", "n2", "n3"]), "{text}");
        assert!(words(1).eq(["n1@x", "-", "alive", "suspect"]), "{text}");
        assert!(words(2).eq(["n2@x", "alive", "-", "?"]), "{text}");
        assert!(words(3).eq(["n3@x", "killed"]), "{text}");
    }
}
