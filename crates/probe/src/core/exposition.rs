//! What is exposed to Prometheus, as text (Prometheus "Exposition formats" 0.0.4; OpenMetrics 1.0 as far as it says the
//! same).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Each metric's samples, by its name: a list of `labels` and `value`. Samples of no finite value, timestamps and
/// exemplars are left out. `None` if it is not in that format.
pub fn samples(text: &str) -> Option<Value> {
    let mut all = BTreeMap::<&str, Vec<Value>>::new();
    for line in text.lines() {
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, labels, rest) = series(line)?;
        let mut parts = rest.split_ascii_whitespace();
        let value: f64 = parts.next()?.parse().ok()?;
        // A time, in milliseconds or seconds, or an exemplar may follow.
        if let Some(next) = parts.next()
            && next != "#"
        {
            next.parse::<f64>().ok()?;
        }
        let of_name = all.entry(name).or_default();
        if value.is_finite() {
            of_name.push(json!({ "labels": labels, "value": value }));
        }
    }
    Some(json!(all))
}

/// A sample's name, its labels, and what follows.
fn series(line: &str) -> Option<(&str, Map<String, Value>, &str)> {
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    let mut labels = Map::new();
    let Some(mut rest) = rest.trim_start_matches([' ', '\t']).strip_prefix('{') else {
        return (is_name(name)).then_some((name, labels, rest));
    };
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(rest) = rest.strip_prefix('}') {
            return is_name(name).then_some((name, labels, rest));
        }
        let (label, after) = rest.split_once('=')?;
        let label = label.trim_end_matches([' ', '\t']);
        if !is_name(label) || label.contains(':') {
            return None;
        }
        let (value, after) = quoted(after.trim_start_matches([' ', '\t']))?;
        labels.insert(label.to_owned(), value.into());
        rest = after.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// A label's value, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('"')?;
    let (mut value, mut chars) = (String::new(), body.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &body[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                // Prometheus itself keeps the backslash of what it does not know.
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formats_own_example_is_read() {
        let text = concat!(
            "# HELP http_requests_total The total number of HTTP requests.\n",
            "# TYPE http_requests_total counter\n",
            "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n",
            "http_requests_total{method=\"post\",code=\"400\",}    3 1395066363000\n\n",
            "msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n",
            "metric_without_timestamp_and_labels 12.47\n",
            "something_weird{problem=\"division by zero\"} +Inf -3982045\n",
            "  foo_bucket{le=\"0.1\"} 8 # {trace=\"a\"} 0.67\n# EOF\n",
        );
        let all = samples(text).unwrap();
        let requests = &all["http_requests_total"];
        assert_eq!(requests[1], json!({ "labels": { "method": "post", "code": "400" }, "value": 3.0 }));
        let error = &all["msdos_file_access_time_seconds"][0];
        assert_eq!(error["labels"]["error"], "Cannot find file:\n\"FILE.TXT\"");
        assert_eq!(error["labels"]["path"], "C:\\DIR\\FILE.TXT");
        assert_eq!(all["metric_without_timestamp_and_labels"][0]["value"], 12.47);
        assert_eq!(all["something_weird"], json!([]), "infinite");
        assert_eq!(all["foo_bucket"][0]["value"], 8.0);
        assert_eq!(all.as_object().unwrap().len(), 5);
    }

    #[test]
    fn what_is_something_else_is_told_from_it() {
        for text in [
            "<html>",
            "{\"a\": 1}",
            "a",
            "a b",
            "a{b} 1",
            "a{b=c} 1",
            "a{b=\"c\" 1",
            "a{b=\"c\"d=\"e\"} 1",
            "1a 1",
            "a 1 b",
            "a{b:c=\"d\"} 1",
        ] {
            assert_eq!(samples(text), None, "{text}");
        }
        assert_eq!(samples(""), Some(json!({})));
    }
}
