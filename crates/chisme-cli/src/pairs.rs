//! `KEY=VALUE`, as tags and metadata are written on a command line.

use std::collections::BTreeMap;

use crate::usage::UsageError;

/// The pairs that `texts` are. `what` is how the user knows them.
pub(crate) fn pairs(what: &str, texts: &[String]) -> Result<BTreeMap<String, String>, UsageError> {
    let mut pairs = BTreeMap::new();
    for text in texts {
        let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(UsageError::new(format!(
                "{what}: {text:?} is no pair: it must look like KEY=VALUE, as in zone=eu-1"
            )));
        };
        if pairs.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(UsageError::new(format!("{what}: {key:?} is given twice")));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Result<BTreeMap<String, String>, String> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        pairs("--meta", &texts).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_equals_sign_ends_the_key_and_a_value_may_be_empty() {
        let pairs = of(&["a=b=c", "d="]).expect("pairs");
        assert_eq!((pairs["a"].as_str(), pairs["d"].as_str()), ("b=c", ""));
    }

    #[test]
    fn what_is_no_pair_or_there_twice_is_quoted() {
        for (texts, part) in
            [(&["zone"][..], "\"zone\""), (&["=x"], "\"=x\""), (&["a=1", "a=2"], "\"a\"")]
        {
            let error = of(texts).expect_err("wrong");
            assert!(error.starts_with("--meta: ") && error.contains(part), "{error}");
        }
    }
}
