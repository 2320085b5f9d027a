//! The page: what stands on it and in which order. How the parts are drawn is theirs.

use super::groups::{plain, scenarios, told, verdict_name};
use super::heat::Heat;
use super::overtime::Measure;
use super::text::{escape, number, time};
use super::{flights, grid, latency, overtime, tables};
use crate::outcome::{Outcome, Story, Verdict};
use crate::targets::Judged;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page about these outcomes that opens in any browser, from disk and without a network.
///
/// `title` stands on top, mostly the scenario's name; `replay` is the command that runs it again.
/// Of one outcome everything is shown. Of many, tables and lines along the parameters of their grid
/// come first, then the story of the worst of those that have one.
///
/// `targets` are what all runs of a point together had to come to.
///
/// Without a script in the browser the page has no slider, and all charts all the same.
pub fn html(title: &str, replay: &str, outcomes: &[Outcome], targets: &[Judged]) -> String {
    let told = told(outcomes);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"generator\" content=\"chisme {}\">\
         <title>{} · chisme simulation</title><style>{STYLE}</style></head><body>",
        env!("CARGO_PKG_VERSION"),
        escape(title),
    );
    page += &header(title, replay, outcomes, targets);
    page += "<main>";
    page += &match outcomes {
        [one] => run(one),
        many => sweep(many),
    };
    if !targets.is_empty() {
        page += &format!("<section>{}</section>", tables::targets(targets));
    }
    if let Some((outcome, story)) = told.and_then(|one| Some((one, one.story.as_ref()?))) {
        page += &self::story(outcome, story, outcomes.len() > 1);
    }
    // Latencies of several scenarios together would mean nothing.
    let one = told.or_else(|| outcomes.first()).map(|one| &one.scenario);
    let of_one = outcomes.iter().filter(|outcome| Some(&outcome.scenario) == one);
    page += &detection(&of_one.collect::<Vec<_>>());
    page += &told.and_then(|one| one.story.as_ref()).map_or_else(String::new, in_space_and_time);
    page += "</main>";
    page += &footer(outcomes);
    page += &format!("<script>{SCRIPT}</script></body></html>\n");
    page
}

fn header(title: &str, replay: &str, outcomes: &[Outcome], targets: &[Judged]) -> String {
    let failed = outcomes.iter().filter(|outcome| outcome.is_failure());
    let worst = failed.clone().reduce(|worst, one| {
        let worse = one.verdict.exit_status() > worst.verdict.exit_status();
        if worse { one } else { worst }
    });
    // A run of the baseline alone says what came of it; among others it is there to be compared.
    let alone = (outcomes.len() == 1).then(|| &outcomes[0]);
    let verdict = worst.or(alone).map_or(Verdict::Passed, |worst| worst.verdict.clone());
    let verdict = &targets.iter().map(Judged::verdict).fold(verdict, Verdict::worse);
    let count = outcomes.len();
    let summary = match (count, failed.count()) {
        (1, _) => String::new(),
        (_, 0) => format!(" {} runs", number(count as f64)),
        (_, failed) => format!(" {failed} of {} runs failed", number(count as f64)),
    };
    let cause = verdict
        .cause()
        .map_or_else(String::new, |cause| format!("<p class=\"cause\">{}</p>", escape(cause)));
    format!(
        "<header><p class=\"brand\">chisme simulation</p><h1>{}</h1>\
         <p class=\"verdict\"><span class=\"badge big {}\">{} {}</span>{summary}</p>{cause}\
         <dl class=\"facts\">{}</dl>\
         <div class=\"replay\"><span id=\"replay-label\">Replay</span>\
         <code tabindex=\"0\" aria-labelledby=\"replay-label\">{}</code>\
         <button type=\"button\" id=\"copy\" hidden>Copy</button></div></header>",
        escape(title),
        if matches!(verdict, Verdict::Passed) { "pass" } else { "fail" },
        if matches!(verdict, Verdict::Passed) { "✓" } else { "✗" },
        verdict_name(verdict).replace('_', " "),
        facts(outcomes),
        escape(replay),
    )
}

fn facts(outcomes: &[Outcome]) -> String {
    let Some(first) = outcomes.first() else { return String::new() };
    let seeds = || outcomes.iter().map(|outcome| outcome.seed);
    let (lowest, highest) = (seeds().min().unwrap_or(0), seeds().max().unwrap_or(0));
    let seeds =
        if lowest == highest { lowest.to_string() } else { format!("{lowest} to {highest}") };
    let scenario = match scenarios(outcomes).len() {
        1 => ("scenario", first.scenario.clone()),
        several => ("scenarios", several.to_string()),
    };
    let mut facts = vec![scenario];
    facts.push((if lowest == highest { "seed" } else { "seeds" }, seeds));
    if let [one] = outcomes {
        let point = one.point.iter().map(|(name, value)| (name.as_str(), plain(value)));
        facts.extend(point);
        facts.extend(one.story.as_ref().map(|story| ("nodes", story.nodes.len().to_string())));
        facts.push(("virtual time", time(one.virtual_seconds)));
        facts.push(("hash", format!("{:016x}", one.hash)));
    }
    let facts = facts.iter().map(|(name, value)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))
    });
    facts.collect()
}

fn run(outcome: &Outcome) -> String {
    format!(
        "<div class=\"beside\"><section><h2>Expectations</h2>{}{}</section>\
         <section><h2>Figures</h2>{}</section></div>",
        tables::expectations(outcome),
        tables::marks(outcome),
        tables::figures(outcome),
    )
}

fn sweep(outcomes: &[Outcome]) -> String {
    format!(
        "<section><h2>Expectations</h2>{}<h2>Points</h2>{}{}</section><section>{}</section>",
        grid::expectations(outcomes),
        grid::points(outcomes),
        grid::failures(outcomes),
        grid::charts(outcomes),
    )
}

fn detection(outcomes: &[&Outcome]) -> String {
    latency::chart(outcomes).map_or_else(String::new, |chart| {
        format!(
            "<section><h2>Time to detection</h2><p class=\"dim\">Per cent of the latencies that \
             are at most so long, counted from the end of a process that said no goodbye. In \
             brackets how many there are.</p>{chart}</section>"
        )
    })
}

fn story(outcome: &Outcome, story: &Story, of_many: bool) -> String {
    let which = if of_many {
        let point = outcome.point.iter().map(|(name, value)| format!("{name} = {}", plain(value)));
        let point = point.collect::<Vec<_>>().join(", ");
        let of = format!("The story of {}, seed {}: {point}", outcome.scenario, outcome.seed);
        format!("<h2>{}</h2>", escape(of.trim_end_matches(": ")))
    } else {
        String::new()
    };
    let mut charts = String::new();
    if let Some(chart) = overtime::missing(story) {
        charts += "<h2>Missing pairs</h2><p class=\"dim\">Pairs of running nodes that did not see \
                   each other, or saw up what was not. Under it the faults.</p>";
        charts += &chart;
    }
    if let Some(chart) = overtime::traffic(story, Measure::Datagrams) {
        charts += "<h2>Datagrams a second, by kind</h2>";
        charts += &chart;
    }
    if let Some(chart) = overtime::traffic(story, Measure::Bytes) {
        charts += "<h2>Bytes a second, by kind</h2>";
        charts += &chart;
    }
    format!("<section class=\"story\">{which}{}{charts}{}</section>", heat(story), slider(story))
}

fn in_space_and_time(story: &Story) -> String {
    let content = flights::chart(story).map_or_else(
        || {
            "<p class=\"dim\">None were kept. For this diagram run the command above again with the \
             seconds that you want to see, such as <code>--window 5..6</code>, and \
             <code>--report</code>.</p>"
                .to_owned()
        },
        |chart| {
            format!(
                "<p class=\"dim\">Each line is a datagram, from its sender to its receiver; those \
                 with a cross were lost.</p>{chart}"
            )
        },
    );
    format!("<section><h2>Datagrams in space and time</h2>{content}</section>")
}

fn heat(story: &Story) -> String {
    let heat = Heat::of(story);
    let legend = [
        ("unknown", "not known"),
        ("alive", "alive"),
        ("suspect", "suspect"),
        ("down", "down"),
        ("left", "left"),
        ("off", "no process"),
    ];
    let legend = legend.iter().map(|(class, name)| {
        format!(
            "<li><canvas class=\"key\" width=\"32\" height=\"32\" data-view=\"{class}\" hidden>\
             </canvas><svg class=\"key\" viewBox=\"0 0 1 1\" aria-hidden=\"true\"><path \
             class=\"view {class}\" d=\"M0 0h1v1h-1z\"/></svg>{name} \
             <span class=\"dim count\" data-count=\"{class}\"></span></li>"
        )
    });
    let note = heat.note().map_or_else(String::new, |note| format!(" {}", escape(&note)));
    format!(
        "<h2>Who sees whom</h2><p class=\"dim\">A row for each observer, a column for each \
         subject.{note}</p><div class=\"views\">\
         <div class=\"scroll heat\" id=\"heat\" tabindex=\"0\" role=\"application\" \
         aria-label=\"Heat map of views; the arrow keys move over it\" \
         aria-describedby=\"cell\">{}</div>\
         <div><ul class=\"legend states\">{}</ul>\
         <p class=\"now-on\" id=\"faults\"></p>\
         <p class=\"dim\" id=\"cell\" role=\"status\"></p></div></div>\
         <noscript><p class=\"dim\">The map shows the moment {}; other moments need scripts.</p>\
         </noscript><script type=\"application/json\" id=\"story\">{}</script>",
        heat.drawing(),
        legend.collect::<String>(),
        time(heat.moment),
        heat.data(),
    )
}

fn slider(story: &Story) -> String {
    format!(
        "<div class=\"player\" id=\"player\" hidden>\
         <button type=\"button\" id=\"play\" aria-label=\"Play\">▶</button>\
         <button type=\"button\" id=\"previous\" aria-label=\"Previous change\">‹</button>\
         <input type=\"range\" id=\"time\" min=\"0\" max=\"{:.3}\" step=\"any\" value=\"0\" \
         aria-label=\"Time\">\
         <button type=\"button\" id=\"next\" aria-label=\"Next change\">›</button>\
         <output id=\"now\" for=\"time\"></output></div>",
        story.seconds
    )
}

fn footer(outcomes: &[Outcome]) -> String {
    let events: u64 = outcomes.iter().map(|outcome| outcome.events).sum();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.virtual_seconds).sum();
    format!(
        "<footer>chisme {} · {} events in {} of virtual time · the same seed gives the same run \
         everywhere</footer>",
        env!("CARGO_PKG_VERSION"),
        number(events as f64),
        time(seconds),
    )
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    use super::*;

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        for page in [
            html("one", "x", &[sample::run()], &[]),
            html("many", "x", &sample::sweep(), &sample::judged()),
        ] {
            for word in ["http:", "https:", "src=", "<link", "@import", "url(", "fetch("] {
                assert!(!page.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn nothing_from_a_scenario_becomes_markup() {
        let mut outcome = sample::run();
        let evil = "</script><script>alert(1)</script>".to_owned();
        outcome.scenario.clone_from(&evil);
        outcome.verdict = Verdict::Unsafe(evil.clone());
        outcome.point.insert(evil.clone(), toml::Value::String(evil.clone()));
        outcome.expectations[0].what.clone_from(&evil);
        outcome.marks.insert(evil.clone(), 1);
        if let Some(story) = &mut outcome.story {
            story.nodes[0].clone_from(&evil);
            story.faults[0].label.clone_from(&evil);
            story.flights[0].kind.clone_from(&evil);
            let traffic = story.traffic["ping"].clone();
            story.traffic.insert(evil.clone(), traffic);
        }
        let many = [outcome.clone(), outcome.clone()];
        for page in [html(&evil, &evil, &[outcome], &[]), html(&evil, &evil, &many, &[])] {
            assert!(!page.contains("<script>alert"));
            assert!(page.contains("&lt;script&gt;alert"));
        }
    }

    #[test]
    fn verdict_seed_and_replay_stand_on_top() {
        let mut outcome = sample::run();
        outcome.verdict = Verdict::NotLive("n3 & n4 are gone".to_owned());
        let page = html("split", "chisme sim replay split --seed 7", &[outcome], &[]);
        let top = page.split("<main>").next().expect("a page has a top");
        for text in ["not live", "n3 &amp; n4 are gone", "<dd>7</dd>", "replay split --seed 7"] {
            assert!(top.contains(text), "{text}");
        }
    }

    #[test]
    fn what_the_baseline_misses_does_not_fail_a_comparison() {
        let mut outcomes = sample::sweep();
        outcomes.retain(|outcome| outcome.seed == 1);
        for outcome in &mut outcomes {
            if outcome.detector == crate::scenario::DetectorMode::Baseline {
                outcome.verdict = Verdict::Unexpected("false_downs".to_owned());
            }
        }
        outcomes.reverse();
        assert!(header("s", "r", &outcomes, &[]).contains("✓ passed</span> 4 runs"));
        let baseline = header("s", "r", &outcomes[..1], &[]);
        assert!(baseline.contains("✗ unexpected"), "{baseline}");
    }

    #[test]
    fn of_many_the_worst_story_is_told() {
        let mut outcomes = sample::sweep();
        outcomes[4].verdict = Verdict::Unsafe("x".to_owned());
        outcomes[4].seed = 99;
        assert!(
            html("s", "r", &outcomes, &[])
                .contains("The story of sample, seed 99: nodes.count = 64")
        );
    }

    #[test]
    fn a_page_without_a_story_has_no_slider() {
        let mut outcome = sample::run();
        outcome.story = None;
        assert!(!html("s", "r", &[outcome], &[]).contains("type=\"range\""));
    }
}
