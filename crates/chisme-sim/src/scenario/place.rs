//! Where a key of a scenario stands in its file.
//!
//! It knows TOML, and nothing of what keys mean.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line of a key of a file, or of what is nearest around it.
pub(super) fn line(text: &str, path: &str) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    let at = span_in(file.get_ref(), path)?;
    Some(text.get(..at)?.matches('\n').count() + 1)
}

fn span_in(table: &DeTable<'_>, path: &str) -> Option<usize> {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let find = |name: &str| table.iter().find(|(key, _)| key.get_ref().as_ref() == name);
    if let Some((key, _)) = find(path) {
        return Some(key.span().start);
    }
    let (key, value) = find(step)?;
    Some(span_of(value, rest).unwrap_or_else(|| key.span().start))
}

fn span_of(value: &Spanned<DeValue<'_>>, path: &str) -> Option<usize> {
    match value.get_ref() {
        DeValue::Table(table) => span_in(table, path),
        DeValue::Array(list) => {
            let (step, rest) = path.split_once('.').unwrap_or((path, ""));
            let inner = list.get(step.parse::<usize>().ok()?)?;
            Some(span_of(inner, rest).unwrap_or_else(|| inner.span().start))
        }
        _ => None,
    }
}
