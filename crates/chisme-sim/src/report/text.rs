//! Text as pages need it: escaped, and numbers as people write them.

use std::time::Duration;

/// Safe between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// JSON that may stand in a script element: nothing in it can end the element or open a comment.
pub(crate) fn script_json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Three digits that count, and commas between thousands: 0.042, 6.1, 12,345.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let size = value.abs();
    let decimals = match size {
        0.0 => 0,
        size if size < 0.001 => 5,
        size if size < 0.1 => 4,
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let text = match text.split_once('.') {
        Some((whole, part)) => match part.trim_end_matches('0') {
            "" => whole.to_owned(),
            part => format!("{whole}.{part}"),
        },
        None => text,
    };
    match text.split_once('.') {
        None => thousands(&text),
        Some(_) => text,
    }
}

/// For the ticks of an axis, where room is scarce: 500, 20k, 1.5M.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e9 => number(value / 1e9) + "G",
        size if size >= 1e6 => number(value / 1e6) + "M",
        size if size >= 1e4 => number(value / 1e3) + "k",
        _ => number(value),
    }
}

fn thousands(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    format!("{sign}{}", groups.join(","))
}

/// A time with its unit: 0.2 ms, 6.1 s, 2 min 30 s.
pub(crate) fn time(seconds: f64) -> String {
    match seconds.abs() {
        0.0 => "0 s".to_owned(),
        size if size < 0.9995 => format!("{} ms", number(seconds * 1e3)),
        size if size < 120.0 => format!("{} s", number(seconds)),
        _ => {
            let whole = Duration::from_secs_f64(seconds.abs().round());
            let (minutes, rest) = (whole.as_secs() / 60, whole.as_secs() % 60);
            let sign = if seconds < 0.0 { "-" } else { "" };
            let rest = if rest == 0 { String::new() } else { format!(" {rest} s") };
            format!("{sign}{} min{rest}", thousands(&minutes.to_string()))
        }
    }
}

/// A time, or a dash where there is none.
pub(crate) fn time_or_dash(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), time)
}

/// A place in a drawing, to a tenth.
pub(crate) fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// Bytes in groups of three as four letters each (RFC 4648).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_file_becomes_markup() {
        assert_eq!(escape("<b a=\"1\" b='2'>&"), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
        let json = script_json(&serde_json::json!({ "name": "</script><!--" }));
        assert!(!json.contains('<'), "{json}");
        let back: serde_json::Value = serde_json::from_str(&json).expect("still JSON");
        assert_eq!(back["name"], "</script><!--");
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let cases = [(0.0, "0"), (0.0421, "0.0421"), (6.10, "6.1"), (99.96, "100")];
        let large = [(1_234_567.0, "1,234,567"), (-1000.0, "-1,000"), (100.4, "100")];
        for (value, text) in cases.into_iter().chain(large) {
            assert_eq!(number(value), text);
        }
        for (value, text) in [(9_000.0, "9,000"), (20_000.0, "20k"), (1_500_000.0, "1.5M")] {
            assert_eq!(short(value), text);
        }
        let times = [(0.0002, "0.2 ms"), (6.1, "6.1 s"), (150.0, "2 min 30 s"), (180.2, "3 min")];
        for (value, text) in times {
            assert_eq!(time(value), text);
        }
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
