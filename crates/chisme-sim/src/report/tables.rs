//! Tables of one run: what is expected and what came, its figures, what had to happen.

use super::groups::plain;
use super::text::{escape, number, time, time_or_dash};
use crate::outcome::{Expectation, Outcome};
use crate::sweep::Spread;
use crate::targets::Judged;

/// What the scenario expects, each with what came and whether that is enough.
pub(crate) fn expectations(outcome: &Outcome) -> String {
    if outcome.expectations.is_empty() {
        return "<p class=\"dim\">The scenario expects no figures.</p>".to_owned();
    }
    let rows = outcome.expectations.iter().map(|line| format!("<tr>{}</tr>", cells(line)));
    table(&["expectation", "#wanted", "#got", "result"], &rows.collect::<String>())
}

/// What all runs of a point together had to come to.
pub(crate) fn targets(targets: &[Judged]) -> String {
    let rows = targets.iter().flat_map(|judged| {
        let parameters = judged.point.iter().map(|(key, value)| format!("{key}={}", plain(value)));
        let place = parameters.collect::<Vec<_>>().join(", ");
        judged.expectations.iter().map(move |line| {
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"num\">{}</td>{}</tr>",
                escape(&judged.scenario),
                escape(&place),
                judged.runs,
                cells(line),
            )
        })
    });
    let headings = ["scenario", "at", "#runs", "target", "#wanted", "#got", "result"];
    let table = table(&headings, &rows.collect::<String>());
    format!("<h2>Targets of all seeds together</h2>{table}")
}

fn cells(line: &Expectation) -> String {
    let got = line.got.map_or_else(|| "–".to_owned(), |got| with_unit(got, line.unit));
    format!(
        "<th scope=\"row\"><code>{}</code></th><td class=\"num\">≤ {}</td>\
         <td class=\"num\">{got}</td><td>{}</td>",
        escape(&line.what),
        with_unit(line.wanted, line.unit),
        result(line),
    )
}

/// A table in a box that scrolls by itself. A `#` before a heading: numbers are under it.
pub(crate) fn table(headings: &[&str], rows: &str) -> String {
    let heads = headings.iter().map(|heading| {
        let (class, text) =
            heading.strip_prefix('#').map_or(("", *heading), |text| (" class=\"num\"", text));
        format!("<th scope=\"col\"{class}>{}</th>", escape(text))
    });
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>{}</tr></thead>\
         <tbody>{rows}</tbody></table></div>",
        heads.collect::<String>()
    )
}

fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "s" | "seconds" => time(value),
        "" => number(value),
        unit => format!("{} {}", number(value), escape(unit)),
    }
}

/// Not by colour alone.
pub(crate) const fn result(line: &Expectation) -> &'static str {
    match (line.met, line.known_miss) {
        (true, false) => "<span class=\"badge pass\">✓ met</span>",
        (true, true) => "<span class=\"badge pass\">✓ met, no longer a miss</span>",
        (false, true) => "<span class=\"badge known\">◐ known miss</span>",
        (false, false) => "<span class=\"badge fail\">✗ missed</span>",
    }
}

/// The figures in large type.
pub(crate) fn figures(outcome: &Outcome) -> String {
    let figures = &outcome.figures;
    let latency = Spread::of(figures.detections.iter().map(|detection| &detection.seconds));
    let count = |number_of: u64| number(number_of as f64);
    let tiles = [
        ("formed after", time_or_dash(figures.formed)),
        ("right after the faults", time_or_dash(figures.converged)),
        ("detection p50", time_or_dash(latency.p50)),
        ("detection p99", time_or_dash(latency.p99)),
        ("Downs", count(figures.downs)),
        ("false Downs", count(figures.false_downs)),
        ("false suspicions", count(figures.false_suspicions)),
        ("life changes", count(figures.life_changes)),
        ("datagrams / node / s", number(figures.datagrams_per_second)),
        ("bytes / node / s", number(figures.bytes_per_second)),
        ("peak / node / s", count(figures.peak_per_second)),
        ("events", count(outcome.events)),
    ];
    let tiles =
        tiles.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>"));
    format!("<dl class=\"tiles\">{}</dl>", tiles.collect::<String>())
}

/// What had to happen at least once, and how often it did.
pub(crate) fn marks(outcome: &Outcome) -> String {
    if outcome.marks.is_empty() {
        return String::new();
    }
    let rows = outcome.marks.iter().map(|(mark, count)| {
        let never = if *count == 0 { " <span class=\"badge fail\">✗ never</span>" } else { "" };
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"num\">{}{never}</td></tr>",
            escape(mark),
            number(*count as f64),
        )
    });
    let table = table(&["had to happen", "#times"], &rows.collect::<String>());
    format!("<details><summary>What had to happen, and did</summary>{table}</details>")
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    #[test]
    fn a_reader_sees_what_is_met_and_what_is_missed() {
        let mut outcome = sample::run();
        outcome.expectations[0].unit = "s";
        let table = expectations(&outcome);
        assert!(table.contains("<code>detection.p50</code>"), "{table}");
        assert!(table.contains("≤ 7 s") && table.contains("6.1 s"), "{table}");
        assert!(table.contains("✓ met") && table.contains("✗ missed"), "{table}");
        outcome.expectations[1].known_miss = true;
        assert!(expectations(&outcome).contains("◐ known miss"));
    }

    #[test]
    fn targets_stand_with_their_point_and_number_of_runs() {
        let table = targets(&sample::judged());
        assert!(table.contains("nodes.count=32") && table.contains(">50<"), "{table}");
        assert!(table.contains("✓ met") && table.contains("✗ missed"), "{table}");
    }

    #[test]
    fn what_never_happened_stands_out() {
        let mut outcome = sample::run();
        outcome.marks.insert("fault: <cut>".to_owned(), 0);
        let marks = marks(&outcome);
        assert!(marks.contains("fault: &lt;cut&gt;") && marks.contains("never"), "{marks}");
    }
}
