//! Probes as an estate has them, made of what another prober's file says.

mod gathered;

use std::time::Duration;

use http::Method;
use seawall_model::{Name, units::show_duration};
use seawall_probe::{
    Target,
    core::expect::{MAX_STATUSES, Statuses},
    estate::{header, read_resolver},
};
use serde_json::Value as Json;

use super::{
    draft::{Settings, Value, quoted},
    source::HEADER,
    tree::{Field, Left},
};

/// How often a probe may be made.
const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(86_400));
/// How long a check may take.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(120));
/// Most headers of a probe.
pub(super) const MAX_HEADERS: usize = 32;
/// Longest body of a request, in bytes.
const MAX_BODY: usize = 64 << 10;
/// Longest text that is looked for, in bytes.
const MAX_CONTAINS: usize = 4 << 10;
/// Most records that are looked for.
const MAX_ANSWERS: usize = 32;

/// What is checked.
#[derive(Debug, Clone)]
pub(super) struct Aim {
    /// As it stands in the estate: the target, or `env:NAME`.
    pub(super) text: String,
    /// What it is, or of a variable, what it is taken to be.
    pub(super) target: Target,
    /// What a user and a password in the URL became.
    pub(super) authorization: Option<String>,
}

/// Something that is checked again and again.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) aim: Aim,
    pub(super) every: Duration,
    pub(super) timeout: Duration,
    pub(super) method: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    /// `env:NAME`, or the text itself.
    pub(super) body: Option<String>,
    pub(super) resolver: Option<String>,
    pub(super) expect: Expected,
}

/// What an answer must be.
#[derive(Debug, Default, Clone)]
pub(super) struct Expected {
    /// As an estate has it; what the estate takes by itself if absent.
    pub(super) status: Option<String>,
    pub(super) contains: Option<String>,
    pub(super) json: Option<(String, Json)>,
    pub(super) answers: Vec<String>,
}

impl Probe {
    pub(super) fn new(aim: Aim, every: Duration, timeout: Duration) -> Self {
        let (method, headers, body, resolver) = (None, Vec::new(), None, None);
        let mut probe =
            Self { aim, every, timeout, method, headers, body, resolver, expect: Expected::default() };
        if let Some(value) = probe.aim.authorization.take().filter(|_| probe.aim.target.url().is_some()) {
            probe.headers.push(("authorization".to_owned(), value));
        }
        probe
    }

    /// Sets a header that is a header. False if it was set already, or cannot be.
    pub(super) fn set_header(
        &mut self,
        name: &str,
        value: String,
        field: &Field<'_>,
        left: &mut Left,
    ) -> bool {
        let shown = if value.starts_with("env:") { HEADER } else { &value };
        if self.aim.target.url().is_none() || header(name, shown).is_none() {
            field.leave(
                left,
                "it is no header that may be set here: those of the connection are the prober's own",
            );
            return false;
        }
        let known = self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if known || self.headers.len() >= MAX_HEADERS {
            field.leave(left, format!("each header is set once, and at most {MAX_HEADERS} are"));
            return false;
        }
        self.headers.push((name.to_ascii_lowercase(), value));
        true
    }

    /// Sets the method, if it is not what a probe does by itself.
    pub(super) fn set_method(&mut self, method: &str, field: &Field<'_>, left: &mut Left) {
        let method = method.to_ascii_uppercase();
        let good = Method::from_bytes(method.as_bytes()).is_ok_and(|method| method != Method::CONNECT);
        match (good, self.is_http()) {
            (true, true) if method != "GET" => self.method = Some(method),
            (true, true) => {}
            (true, false) => field.leave(left, "requests alone have a method"),
            (false, _) => field.leave(left, "it is no method of a request"),
        }
    }

    pub(super) fn set_body(&mut self, body: String, field: &Field<'_>, left: &mut Left) {
        if !self.is_http() {
            field.leave(
                left,
                "nothing is sent but what the kind of target needs: see `target` of `[probes.NAME]`",
            );
        } else if body.len() > MAX_BODY {
            field.leave(left, "a body is of 64 KiB at most");
        } else {
            self.body = Some(body);
        }
    }

    /// Sets what must be in the answer, once.
    pub(super) fn set_contains(&mut self, text: &str, field: &Field<'_>, left: &mut Left) {
        if !self.is_http() && !matches!(self.aim.target, Target::Tcp(_)) {
            field.leave(left, "what is answered is looked at for `http`, `https` and `tcp` only");
        } else if text.is_empty() || text.len() > MAX_CONTAINS {
            field.leave(left, "the text that is looked for is of 1 to 4096 bytes");
        } else if self.expect.contains.is_some() {
            field.leave(left, "a probe looks for one text: make another probe for this one");
        } else {
            self.expect.contains = Some(text.to_owned());
        }
    }

    /// Sets what a value of the answer must be, once.
    pub(super) fn set_json(&mut self, pointer: String, text: &str, field: &Field<'_>, left: &mut Left) {
        if !self.is_http() {
            field.leave(left, "values are looked at in answers over HTTP only");
        } else if self.expect.json.is_some() {
            field.leave(left, "a probe looks at one value: make another probe for this one");
        } else {
            let value = match (text, text.parse::<i64>()) {
                ("true", _) => Json::Bool(true),
                ("false", _) => Json::Bool(false),
                // As a number is written: `007` and `+1` are texts.
                (_, Ok(number)) if number.to_string() == text => number.into(),
                _ => text.into(),
            };
            if !value.is_string() {
                field.leave(
                    left,
                    "`equals` tells numbers and truth from texts: write it in quotes if the answer does",
                );
            }
            self.expect.json = Some((pointer, value));
        }
    }

    /// Sets a record that must be among the answers.
    pub(super) fn set_answer(&mut self, text: &str, field: &Field<'_>, left: &mut Left) {
        match self.expect.answers.len() < MAX_ANSWERS && !text.is_empty() {
            true => self.expect.answers.push(text.to_owned()),
            false => field.leave(left, format!("at most {MAX_ANSWERS} records are looked for")),
        }
    }

    /// Sets who resolves names.
    pub(super) fn set_resolver(&mut self, text: &str, field: &Field<'_>, left: &mut Left) {
        match read_resolver(text) {
            Some(_) => self.resolver = Some(text.to_owned()),
            None => field.leave(left, "`resolver` is an address, as in `1.1.1.1` or `[::1]:5353`"),
        }
    }

    pub(super) fn is_http(&self) -> bool {
        matches!(self.aim.target, Target::Http(_))
    }

    fn render(&self, name: &Name) -> String {
        let mut settings = Settings::default();
        settings.set("target", self.aim.text.as_str());
        settings.set("every", self.every);
        settings.set("timeout", self.timeout);
        let texts = [("method", &self.method), ("body", &self.body), ("resolver", &self.resolver)];
        for (key, text) in texts {
            if let Some(text) = text {
                settings.set(key, text.as_str());
            }
        }
        let mut text = format!("\n[probes.{name}]\n");
        settings.render(&mut text);
        let set = |(name, value): &(String, String)| format!("{} = {}", quoted(name), quoted(value));
        if !self.headers.is_empty() {
            let headers = self.headers.iter().map(set).collect::<Vec<_>>().join(", ");
            text += &format!("headers = {{ {headers} }}\n");
        }
        let expect = self.expect.render();
        if !expect.is_empty() {
            text += &format!("expect = {{ {} }}\n", expect.join(", "));
        }
        text
    }
}

impl Expected {
    fn render(&self) -> Vec<String> {
        let mut parts = Vec::new();
        let texts = [("status", &self.status), ("contains", &self.contains)];
        for (key, text) in texts {
            parts.extend(text.as_ref().map(|text| format!("{key} = {}", quoted(text))));
        }
        if let Some((pointer, value)) = &self.json {
            let value = value.as_str().map_or_else(|| value.to_string(), quoted);
            parts.push(format!("json = {{ pointer = {}, equals = {value} }}", quoted(pointer)));
        }
        if !self.answers.is_empty() {
            parts.push(format!("answers = {}", Value::List(self.answers.clone()).render()));
        }
        parts
    }
}

/// Statuses as an estate has them; `None` if they take more ranges than it does, or there are none.
pub(super) fn statuses(good: impl Fn(u16) -> bool) -> Option<String> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for status in (100..=599).filter(|status| good(*status)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == status => *last = status,
            Some(_) | None => ranges.push((status, status)),
        }
    }
    let shown = |(first, last): &(u16, u16)| match (first, last) {
        (first, last) if first == last => first.to_string(),
        (first, last) if first % 100 == 0 && *last == first + 99 => format!("{}xx", first / 100),
        (first, last) => format!("{first}-{last}"),
    };
    let text = ranges.iter().map(shown).collect::<Vec<_>>().join(",");
    (ranges.len() <= MAX_STATUSES && Statuses::parse(&text).is_some()).then_some(text)
}

/// The JSON pointer (RFC 6901) of a path such as `.data[0].name`.
pub(super) fn pointer(path: &str) -> Option<String> {
    let mut pointer = String::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, indices) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        if !name.is_empty() {
            pointer += &format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        }
        for index in indices.split_terminator(']') {
            let index = index.strip_prefix('[').filter(|text| text.parse::<u32>().is_ok())?;
            pointer += &format!("/{index}");
        }
    }
    (!pointer.is_empty()).then_some(pointer)
}

/// The times of a probe, each the nearest that an estate takes. `usual` is the timeout where none is told.
pub(super) fn times(
    every: Duration,
    told: Option<Duration>,
    usual: Duration,
    field: &Field<'_>,
    left: &mut Left,
) -> (Duration, Duration) {
    let near = every.clamp(EVERY.0, EVERY.1);
    if near != every {
        field.leave(left, "checks are from 100ms to 1d apart: the nearest is taken");
    }
    let timeout = told.unwrap_or(usual);
    let taken = timeout.clamp(TIMEOUT.0, TIMEOUT.1.min(near));
    if told.is_some() && taken != timeout {
        let shown = show_duration(taken);
        field.leave(
            left,
            format!("`timeout` is from 1ms to 2m, and no longer than `every`: {shown} is taken"),
        );
    }
    (near, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_pointers() {
        let check = |path: &str, wanted: Option<&str>| assert_eq!(pointer(path).as_deref(), wanted, "{path}");
        check(".status", Some("/status"));
        check("status", Some("/status"));
        check(".data[0].name", Some("/data/0/name"));
        check("[0][12]", Some("/0/12"));
        check(".a/b.c~d", Some("/a~1b/c~0d"));
        for none in ["", ".", "[]", "[x]", ".a[0]b", ".a[-1]"] {
            check(none, None);
        }
    }

    #[test]
    fn statuses_are_written_as_ranges() {
        assert_eq!(statuses(|_| true).as_deref(), Some("100-599"));
        assert_eq!(statuses(|s| s / 100 == 2 || s == 301).as_deref(), Some("2xx,301"));
        assert_eq!(statuses(|s| s != 404).as_deref(), Some("100-403,405-599"));
        assert_eq!(statuses(|_| false), None);
        // More ranges than an estate takes.
        assert_eq!(statuses(|s| s % 2 == 0), None);
    }
}
