//! Outcomes written by hand, for the tests of reports.

use std::collections::BTreeMap;

use crate::outcome::{
    Change, Detection, Expectation, Figures, Flight, Outcome, ProcessChange, ProcessState, Ribbon,
    Seen, Story, Traffic, Verdict,
};
use crate::scenario::DetectorMode;
use crate::targets::Judged;

/// Four nodes; n3 crashes after ten of twenty seconds.
pub(crate) fn run() -> Outcome {
    Outcome {
        scenario: "sample".to_owned(),
        seed: 7,
        point: BTreeMap::new(),
        detector: DetectorMode::Chisme,
        axes: Vec::new(),
        probe_period: 1.0,
        verdict: Verdict::Passed,
        expectations: vec![
            expectation("detection.p50", 7.0, Some(6.1), true),
            expectation("false_downs", 0.0, Some(2.0), false),
        ],
        figures: figures(6.0),
        marks: BTreeMap::from([("fault: crash".to_owned(), 1)]),
        hash: 0xabcd,
        events: 4_321,
        virtual_seconds: 20.0,
        story: Some(story()),
    }
}

/// Two sizes, two detectors, two seeds.
pub(crate) fn sweep() -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for nodes in [16, 64] {
        for detector in [DetectorMode::Chisme, DetectorMode::Baseline] {
            for seed in 1..=2 {
                let mut outcome = run();
                let point = [("nodes.count".to_owned(), toml::Value::Integer(nodes))];
                (outcome.point, outcome.detector) = (BTreeMap::from(point), detector);
                outcome.seed = seed;
                outcome.figures = figures(nodes as f64 / 8.0);
                outcome.story = (seed == 1).then(story);
                outcomes.push(outcome);
            }
        }
    }
    outcomes
}

fn expectation(what: &str, wanted: f64, got: Option<f64>, met: bool) -> Expectation {
    Expectation { what: what.to_owned(), wanted, got, unit: "", met, known_miss: false }
}

fn figures(latency: f64) -> Figures {
    let detection = |observer, seconds| Detection { observer, subject: 3, seconds };
    Figures {
        formed: Some(0.5),
        converged: Some(1.0),
        detections: vec![
            detection(0, latency),
            detection(1, latency + 0.2),
            detection(2, latency + 0.4),
        ],
        first_suspicions: vec![latency / 4.0],
        first_detections: vec![latency],
        last_detections: vec![latency + 0.4],
        downs: 3,
        datagrams_per_second: 4.0,
        bytes_per_second: 500.0,
        sent: BTreeMap::from([("ping".to_owned(), Traffic { datagrams: 80, bytes: 9_000 })]),
        ..Figures::default()
    }
}

fn story() -> Story {
    let mut changes = Vec::new();
    let mut change = |at, observer, subject, to| {
        changes.push(Change { at, observer, subject, to });
    };
    for (observer, subject) in (0..4).flat_map(|o| (0..4).map(move |s| (o, s))) {
        if observer != subject {
            change(0.5, observer, subject, Seen::Alive);
        }
    }
    for observer in 0..3 {
        change(12.0 + f64::from(observer), observer, 3, Seen::Suspect);
        change(16.0 + f64::from(observer), observer, 3, Seen::Down);
    }
    let process = |at, node, to| ProcessChange { at, node, to };
    let traffic = |each: u64| {
        (0..20).map(|n| Traffic { datagrams: each + n % 3, bytes: each * 100 }).collect()
    };
    let flight = |sent, arrived, from, to| Flight {
        sent,
        arrived,
        from,
        to,
        kind: "ping".to_owned(),
        bytes: 120,
    };
    Story {
        nodes: (0..4).map(|n| format!("n{n}")).collect(),
        seconds: 20.0,
        formed_at: Some(0.5),
        faults_ended_at: 10.0,
        changes,
        acquainted: None,
        processes: (0..4)
            .map(|node| process(0.0, node, ProcessState::Running))
            .chain([process(10.0, 3, ProcessState::Crashed)])
            .collect(),
        faults: vec![Ribbon { from: 10.0, to: 10.0, label: "crash".to_owned(), nodes: vec![3] }],
        bucket: 1.0,
        traffic: BTreeMap::from([("ack".to_owned(), traffic(4)), ("ping".to_owned(), traffic(4))]),
        missing: vec![(0.0, 12), (0.5, 0), (10.0, 3), (16.0, 2), (17.0, 1), (18.0, 0)],
        flights: vec![flight(11.0, Some(11.001), 0, 1), flight(11.5, None, 1, 3)],
        captured: Vec::new(),
    }
}

/// Targets of one point, one of them missed.
pub(crate) fn judged() -> Vec<Judged> {
    let line = |what: &str, wanted, got| Expectation {
        what: what.to_owned(),
        wanted,
        got: Some(got),
        unit: "s",
        met: got <= wanted,
        known_miss: false,
    };
    vec![Judged {
        scenario: "split".to_owned(),
        point: [("nodes.count".to_owned(), toml::Value::Integer(32))].into(),
        runs: 50,
        expectations: vec![line("detection.p50", 5.0, 4.2), line("last_detection.p50", 5.0, 5.5)],
    }]
}
