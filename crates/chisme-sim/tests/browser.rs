//! Reports in a real browser: Chromium without a window opens them from disk, as people do.
//!
//! Without a Chromium these tests say so and pass; with `CHISME_REQUIRE_BROWSER=1` they fail.
//! `CHISME_BROWSER` names one that is not on the path. What the browser is shown stays in
//! `target/tmp/reports`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chisme_sim::outcome::Outcome;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Keep, Sweep, report, run};
use serde_json::Value;

const SPLIT: &str = r#"
why = "A part is cut off and one crashes."
expected = "Both are noticed."
source = "none"
liveness = "90s"
quiet = "5s"

[nodes]
count = 12
formed_within = "30s"

[[fault]]
at = "5s"
for = "40s"
cut = { off = "node[8..12]" }

[[fault]]
at = "60s"
crash = "node[2]"

[expect]
detection = { p50 = "9s", p99 = "20s" }
false_downs = 0
downs = 1
"#;

const REPLAY: &str = "chisme sim replay simulations/split.toml --seed 7";

/// A browser with a profile of its own.
struct Browser {
    program: PathBuf,
    home: PathBuf,
}

/// What the browser printed.
struct Printed {
    dom: String,
    /// What pages wrote to the console.
    console: Vec<String>,
}

impl Browser {
    /// None if there is none and none is required.
    fn find(test: &str) -> Option<Self> {
        let named = std::env::var_os("CHISME_BROWSER").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let known = std::env::split_paths(&path)
            .flat_map(|folder| names.map(|name| folder.join(name)))
            .find(|program| program.is_file());
        let Some(program) = named.or(known) else {
            let why = "there is no chromium on the path (apt-get install chromium)";
            let required = std::env::var_os("CHISME_REQUIRE_BROWSER").is_some_and(|set| set == "1");
            assert!(!required, "{test}: {why}, and CHISME_REQUIRE_BROWSER=1");
            eprintln!("SKIPPED {test}: {why}");
            return None;
        };
        let home = folder().join(format!("{test}-profile"));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).expect("a folder for the profile");
        Some(Self { program, home })
    }

    fn open(&self, page: &Path, options: &[&str]) -> Printed {
        let output = Command::new(&self.program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .args(["--no-first-run", "--disable-extensions", "--disable-dev-shm-usage"])
            .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=8000"])
            .arg(format!("--user-data-dir={}", self.home.display()))
            .args(options)
            .arg(format!("file://{}", page.display()))
            .env("HOME", &self.home)
            .stdin(Stdio::null())
            .output()
            .expect("the browser starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {errors}", output.status);
        Printed {
            dom: String::from_utf8_lossy(&output.stdout).into_owned(),
            console: errors.lines().filter(is_of_console).map(str::to_owned).collect(),
        }
    }

    /// A picture of a page, and what its console said.
    fn picture(&self, page: &Path, name: &str, options: &[&str]) -> (PathBuf, Printed) {
        let picture = folder().join(name);
        let _ = fs::remove_file(&picture);
        let screenshot = format!("--screenshot={}", picture.display());
        let printed = self.open(page, &[&[screenshot.as_str()], options].concat());
        assert!(picture.is_file(), "there is no picture {name}");
        (picture, printed)
    }

    /// Opens a page together with a script that looks at it from inside; returns what it found.
    fn ask(&self, page: &str, name: &str, script: &str, options: &[&str]) -> Value {
        let errors = "<head><script>window.seen = []; window.addEventListener('error', \
                      (event) => window.seen.push(event.message));</script>";
        let script = format!(
            "<script>window.addEventListener('load', () => {{\
             const told = document.createElement('pre'); told.id = 'told';\
             const tell = () => {{ {script} }};\
             try {{ told.textContent = JSON.stringify(tell()); }}\
             catch (error) {{ told.textContent = JSON.stringify({{ error: String(error) }}); }}\
             document.body.append(told); }});</script></body>"
        );
        let page = page.replacen("<head>", errors, 1).replace("</body>", &script);
        let path = write(name, &page);
        let printed = self.open(&path, &[&["--dump-dom"], options].concat());
        let told = printed.dom.rsplit_once("<pre id=\"told\">").map(|(_, rest)| rest);
        let told = told.and_then(|rest| rest.split("</pre>").next());
        let told = told.unwrap_or_else(|| panic!("{name} told nothing: {:?}", printed.console));
        let told = told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
    }

    /// How many colours a picture has, and how much of it is not of the most frequent one.
    fn colours(&self, pictures: &[PathBuf]) -> Vec<(u64, f64)> {
        let images = pictures.iter().map(|path| {
            let bytes = fs::read(path).expect("a picture");
            let bytes: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            format!("<img src=\"data:image/png,{bytes}\">")
        });
        let images = images.collect::<String>();
        let page = format!("<!doctype html><html><head></head><body>{images}</body></html>");
        let told = self.ask(&page, "colours.html", COUNT, &[]);
        let told = told.as_array().unwrap_or_else(|| panic!("{told}"));
        told.iter()
            .map(|one| (one[0].as_u64().expect("a count"), one[1].as_f64().expect("a part")))
            .collect()
    }
}

/// Counts the pixels of each colour in all pictures of a page.
const COUNT: &str = r#"
    return [...document.images].map((picture) => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
        const pen = canvas.getContext("2d");
        pen.drawImage(picture, 0, 0);
        const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
        const counts = new Map();
        for (const one of new Uint32Array(data.buffer)) counts.set(one, (counts.get(one) || 0) + 1);
        const most = Math.max(...counts.values());
        return [counts.size, 1 - most / (canvas.width * canvas.height)];
    });
"#;

/// Chromium prints what pages do as `[...:INFO:CONSOLE(12)] "message", source: ...`.
fn is_of_console(line: &&str) -> bool {
    line.contains("CONSOLE")
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    fs::create_dir_all(&folder).expect("a folder for reports");
    folder
}

fn write(name: &str, page: &str) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, page).expect("a report is written");
    path
}

fn real_run() -> Outcome {
    let scenario = Scenario::parse("split", SPLIT).unwrap_or_else(|error| panic!("{error}"));
    let keep = Keep { story: true, window: Some((12.0, 12.4)), ..Keep::default() };
    run(&scenario, &BTreeMap::new(), 7, &keep)
}

#[test]
fn a_report_of_a_run_works_in_a_browser() {
    let Some(browser) = Browser::find("run") else { return };
    let page = report::html("split", REPLAY, &[real_run()], &[]);
    let path = write("run.html", &page);
    let (light, printed) = browser.picture(&path, "run-light.png", &["--window-size=1280,3600"]);
    assert!(printed.console.is_empty(), "{:?}", printed.console);
    let dark = ["--window-size=1280,3600", "--blink-settings=preferredColorScheme=0"];
    let (dark, printed) = browser.picture(&path, "run-dark.png", &dark);
    assert!(printed.console.is_empty(), "{:?}", printed.console);
    for (colours, part) in browser.colours(&[light, dark]) {
        assert!(colours > 50 && part > 0.05, "blank: {colours} colours, {part}");
    }

    let told = browser.ask(&page, "run-asked.html", MOVES, &[]);
    assert_eq!(told["errors"], serde_json::json!([]), "{told}");
    for what in ["slider", "map", "playhead", "text", "next", "keys", "back", "faults"] {
        assert_eq!(told[what], true, "{what}: {told}");
    }
    assert_eq!(told["wide"], 0, "the page scrolls sideways: {told}");
}

#[test]
fn a_report_of_a_run_fits_on_a_phone() {
    let Some(browser) = Browser::find("phone") else { return };
    let page = report::html("split", REPLAY, &[real_run()], &[]);
    let path = write("phone.html", &page);
    let phone = ["--window-size=390,2400"];
    let (picture, printed) = browser.picture(&path, "phone.png", &phone);
    assert!(printed.console.is_empty(), "{:?}", printed.console);
    let seen = browser.colours(&[picture])[0];
    assert!(seen.0 > 50 && seen.1 > 0.05, "blank: {seen:?}");
    let told = browser.ask(&page, "phone-asked.html", WIDTHS, &phone);
    assert!(told["window"].as_u64().is_some_and(|width| width <= 500), "{told}");
    assert_eq!(told["page"], told["window"], "the page scrolls sideways: {told}");
    assert_eq!(told["errors"], serde_json::json!([]), "{told}");
    let told = browser.ask(&framed(&page, 360), "narrow.html", FRAMED, &[]);
    assert_eq!(told["window"], 360, "{told}");
    assert_eq!(told["page"], 360, "the page scrolls sideways: {told}");
    assert_eq!(told["ready"], true, "the page's script did not run: {told}");
}

/// What matters of a time and of a table is in sight on a phone, where boxes scroll by themselves.
#[test]
fn on_a_phone_charts_follow_the_slider_and_tables_begin_with_what_matters() {
    let Some(browser) = Browser::find("follow") else { return };
    let page = report::html("split", REPLAY, &[real_run()], &[]);
    let told = browser.ask(&framed(&page, 400), "follow.html", FOLLOWS, &[]);
    let boxes = told["boxes"].as_u64().expect("a number");
    assert!(boxes >= 3, "{told}");
    assert_eq!(told["scrolling"], boxes, "charts are wider than a phone: {told}");
    for when in ["opened", "begin", "middle", "end", "by_itself"] {
        assert_eq!(told[when], boxes, "{when}: the moment is not in sight: {told}");
    }
    assert_eq!(told["pointed"], true, "a chart went away from under a finger: {told}");

    let outcomes = small_sweep();
    let page = report::html("split", "chisme sim run simulations/split.toml", &outcomes, &[]);
    let told = browser.ask(&framed(&page, 400), "columns.html", COLUMNS, &[]);
    assert_eq!(told["hidden"], serde_json::json!([]), "{told}");
    assert_eq!(told["found"], 3, "{told}");
}

/// Moves the slider of a page in a frame and counts the charts whose line of the moment can be seen.
const FOLLOWS: &str = r##"
    const root = document.querySelector("iframe").contentDocument;
    const boxes = [...root.querySelectorAll("svg.over-time")].map((chart) => chart.parentNode);
    const inSight = () => boxes.filter((box) => {
        const [edge, line] = [box.getBoundingClientRect(), box.querySelector(".now").getBoundingClientRect()];
        return line.left >= edge.left && line.right <= edge.right;
    }).length;
    const slider = root.getElementById("time");
    const to = (value) => {
        slider.value = value;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        return inSight();
    };
    const found = { boxes: boxes.length, opened: inSight() };
    found.scrolling = boxes.filter((box) => box.scrollWidth > box.clientWidth).length;
    found.begin = to(0);
    found.middle = to(slider.max / 2);
    found.end = to(slider.max);
    root.getElementById("previous").click();
    found.by_itself = inSight();
    const edge = boxes[0].getBoundingClientRect();
    const [before, other] = [boxes[0].scrollLeft, boxes[1].scrollLeft];
    boxes[0].firstChild.dispatchEvent(new MouseEvent("click", { clientX: edge.left + 20, bubbles: true }));
    found.pointed = boxes[0].scrollLeft === before && boxes[1].scrollLeft < other;
    return found;
"##;

/// Which of the columns that matter most are out of sight.
const COLUMNS: &str = r##"
    const root = document.querySelector("iframe").contentDocument;
    const heads = [...root.querySelectorAll("th")].filter((head) => ["failed", "result", "worst"].includes(head.textContent));
    const hidden = heads.filter((head) => {
        const box = head.closest(".scroll").getBoundingClientRect();
        return head.getBoundingClientRect().right > box.right;
    });
    return { found: heads.length, hidden: hidden.map((head) => head.textContent) };
"##;

/// A page in a frame of some width: a window of the browser cannot be as narrow as a phone is.
fn framed(page: &str, width: u32) -> String {
    let page = page.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    format!(
        "<!doctype html><html><head></head><body><iframe width=\"{width}\" height=\"800\" \
         srcdoc=\"{page}\"></iframe></body></html>"
    )
}

/// How wide the frame is, and what is in it.
const FRAMED: &str = r#"
    const root = document.querySelector("iframe").contentDocument.documentElement;
    return {
        window: root.clientWidth,
        page: root.scrollWidth,
        ready: root.classList.contains("ready"),
    };
"#;

/// How wide the window is, and what is in it.
const WIDTHS: &str = r#"
    return {
        window: document.documentElement.clientWidth,
        page: document.documentElement.scrollWidth,
        errors: window.seen,
    };
"#;

#[test]
fn a_report_of_a_sweep_works_in_a_browser() {
    let Some(browser) = Browser::find("sweep") else { return };
    let outcomes = small_sweep();
    assert_eq!(outcomes.len(), 12);
    let page = report::html("split", "chisme sim run simulations/split.toml", &outcomes, &[]);
    let path = write("sweep.html", &page);
    let (light, printed) = browser.picture(&path, "sweep-light.png", &["--window-size=1280,3600"]);
    assert!(printed.console.is_empty(), "{:?}", printed.console);
    let seen = browser.colours(&[light])[0];
    assert!(seen.0 > 50 && seen.1 > 0.05, "blank: {seen:?}");
    let told = browser.ask(&page, "sweep-asked.html", MOVES, &[]);
    assert_eq!(told["errors"], serde_json::json!([]), "{told}");
    assert_eq!((&told["slider"], &told["map"]), (&Value::Bool(true), &Value::Bool(true)), "{told}");
    assert_eq!(told["wide"], 0, "the page scrolls sideways: {told}");
}

fn small_sweep() -> Vec<Outcome> {
    let text = SPLIT.to_owned() + GRID;
    let scenario = Scenario::parse("split", &text).unwrap_or_else(|error| panic!("{error}"));
    let keep = |_: &_, seed| Keep { story: seed == 1, ..Keep::default() };
    let results = Sweep::new(1..4).run(&scenario, keep, |_| ());
    results.into_iter().flat_map(|results| results.runs).collect()
}

const GRID: &str = r#"
[grid]
"nodes.count" = [12, 18]
"config.probe_period" = ["1s", "2s"]
"#;

/// Without a script the charts and the map of one moment are there, and no dead controls.
#[test]
fn a_report_can_be_read_without_a_script() {
    let Some(browser) = Browser::find("bare") else { return };
    let page = report::html("split", REPLAY, &[real_run()], &[]);
    let (bare, _) = page.rsplit_once("<script>").expect("the page ends with its script");
    let bare = format!("{bare}</body></html>");
    let told = browser.ask(&bare, "bare.html", BARE, &[]);
    assert_eq!(told["errors"], serde_json::json!([]), "{told}");
    assert_eq!(told["canvas"], 0, "the script has run after all: {told}");
    assert_eq!(told["controls"], 0, "{told}");
    assert!(told["map"].as_f64().is_some_and(|width| width > 100.0), "{told}");
    assert!(told["charts"].as_u64().is_some_and(|count| count >= 4), "{told}");
}

/// What is to be seen, by its size.
const BARE: &str = r##"
    const seen = (of) => [...document.querySelectorAll(of)].filter((one) => one.getBoundingClientRect().width > 0);
    return {
        errors: window.seen,
        canvas: seen("#heat canvas").length,
        controls: seen("button, input").length,
        map: seen("#heat svg")[0].getBoundingClientRect().width,
        charts: seen("svg.chart").length,
    };
"##;

/// Moves what can be moved, and says what came of it.
const MOVES: &str = r##"
    const by = (id) => document.getElementById(id);
    const canvas = document.querySelector("#heat canvas");
    const slider = by("time");
    const to = (value) => {
        slider.value = value;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        return canvas.toDataURL();
    };
    const playhead = () => [...document.querySelectorAll(".now")].map((now) => now.getAttribute("transform")).join();
    const first = to(0);
    const [text, line] = [by("now").textContent, playhead()];
    const last = to(slider.max);
    to(20);
    const during = by("faults").textContent;
    to(slider.max);
    const found = { errors: window.seen, slider: Number(slider.value) > 1, map: first !== last };
    found.text = by("now").textContent !== text;
    found.playhead = playhead() !== line && playhead() !== "";
    found.back = to(0) === first;
    by("next").click();
    found.next = canvas.toDataURL() !== first || Number(slider.value) > 0;
    const cell = by("cell").textContent;
    by("heat").focus();
    by("heat").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    by("heat").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
    found.keys = by("cell").textContent !== cell && document.activeElement === by("heat");
    found.faults = during.includes("cut") && by("faults").textContent !== during;
    found.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    return found;
"##;
