//! What a monitor over HTTP asks, and what the answer must be.

use serde_json::Value as Json;

use super::super::{
    draft::Draft,
    probes::{Probe, pointer, statuses},
    source::{Source, basic},
    tree::{Field, Fields, Left},
};

/// Sets what a monitor over HTTP says.
pub(super) fn settings(
    kind: &str,
    monitor: &Field<'_>,
    fields: &mut Fields<'_>,
    probe: &mut Probe,
    owner: &str,
    draft: &mut Draft,
    left: &mut Left,
) {
    let good = fields.items("accepted_statuscodes", left);
    let ranges: Vec<_> = good.iter().filter_map(|field| range(field, left)).collect();
    if good.is_empty() {
        probe.expect.status = Some("2xx".to_owned());
    } else {
        probe.expect.status =
            statuses(|status| ranges.iter().any(|(first, last)| (first..=last).contains(&&status)));
        if probe.expect.status.is_none() {
            good[0].leave(
                left,
                "they come to no status, or to too many ranges: set `expect.status`, as in `\"200-204,301\"`",
            );
        }
    }
    if let Some(method) = fields.take("method")
        && let Some(text) = method.raw(left)
    {
        probe.set_method(text, &method, left);
    }
    headers(fields, probe, owner, draft, left);
    body(fields, probe, owner, draft, left);
    authorization(fields, probe, owner, draft, left);
    match kind {
        "keyword" => keyword(monitor, fields, probe, left),
        "json-query" => query(monitor, fields, probe, left),
        _ => {}
    }
}

/// `200-299` or `200`.
fn range(field: &Field<'_>, left: &mut Left) -> Option<(u16, u16)> {
    let text = field.raw(left)?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.trim().parse().ok().zip(last.trim().parse().ok());
    if range.is_none() {
        field.leave(left, "it is no status and no range of them, as in `200-299`");
    }
    range
}

/// Headers are the text of a JSON object.
fn headers(fields: &mut Fields<'_>, probe: &mut Probe, owner: &str, draft: &mut Draft, left: &mut Left) {
    let Some(field) = fields.take("headers") else { return };
    let Some(text) = field.raw(left) else { return };
    let Ok(Json::Object(headers)) = serde_json::from_str::<Json>(text) else {
        field.leave(left, "it is no JSON object of headers");
        return;
    };
    for (name, value) in headers {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let value = draft.secret(Source::Literal(text), ("a header", &name), owner, &field, left);
        if let Some(value) = value {
            probe.set_header(&name, value, &field, left);
        }
    }
}

fn body(fields: &mut Fields<'_>, probe: &mut Probe, owner: &str, draft: &mut Draft, left: &mut Left) {
    let encoding = fields.take("httpBodyEncoding").and_then(|field| field.raw(left)).unwrap_or("json");
    let Some(field) = fields.take("body") else { return };
    let Some(text) = field.raw(left) else { return };
    let Some(text) = draft.secret(Source::Literal(text.to_owned()), ("a body", "BODY"), owner, &field, left)
    else {
        return;
    };
    let kind = match encoding {
        "xml" => "text/xml; charset=utf-8",
        "form" => "application/x-www-form-urlencoded",
        _ => "application/json",
    };
    if probe.headers.iter().all(|(name, _)| name != "content-type") {
        probe.set_header("content-type", kind.to_owned(), &field, left);
    }
    probe.set_body(text, &field, left);
}

fn authorization(
    fields: &mut Fields<'_>,
    probe: &mut Probe,
    owner: &str,
    draft: &mut Draft,
    left: &mut Left,
) {
    let method = fields.take("authMethod");
    let user = ["basic_auth_user", "basicAuthUser"].into_iter().find_map(|key| fields.take(key));
    let password = ["basic_auth_pass", "basicAuthPass"].into_iter().find_map(|key| fields.take(key));
    let kind = method.as_ref().and_then(|field| field.raw(left)).unwrap_or_default();
    let reason = match kind {
        "ntlm" => "NTLM is not spoken",
        "mtls" => "no certificate is shown to servers",
        "oauth2-cc" => "no token is fetched: set `headers = { authorization = \"env:NAME\" }`",
        _ => "",
    };
    if let (Some(field), false) = (&method, reason.is_empty()) {
        field.leave(left, reason);
        return;
    }
    // Older backups do not say how a user is shown.
    let Some(field) = user.filter(|_| ["basic", ""].contains(&kind)) else { return };
    let Some(user) = field.raw(left) else { return };
    let value = match password.and_then(|field| field.raw(left)) {
        Some(password) => basic(user, password),
        None => draft.unknown_header(owner, "`Basic ` and the Base64 of `USER:PASSWORD`", &field, left),
    };
    probe.set_header("authorization", value, &field, left);
}

fn keyword(monitor: &Field<'_>, fields: &mut Fields<'_>, probe: &mut Probe, left: &mut Left) {
    let inverted = fields.peek("invertKeyword").and_then(|field| field.raw(left)) == Some("true");
    match fields.take("keyword") {
        Some(field) if !inverted => {
            if let Some(text) = field.raw(left) {
                probe.set_contains(text, &field, left);
            }
        }
        Some(_) => {}
        None => monitor.leave(left, "it names no keyword"),
    }
}

fn query(monitor: &Field<'_>, fields: &mut Fields<'_>, probe: &mut Probe, left: &mut Left) {
    let operator = fields.take("jsonPathOperator").and_then(|field| field.raw(left)).unwrap_or("==");
    let wanted = fields.take("expectedValue").and_then(|field| field.raw(left));
    let Some(path) = fields.take("jsonPath") else {
        monitor.leave(left, "it names no value of the answer");
        return;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    let text = path.raw(left).map(|text| text.strip_prefix('$').unwrap_or(text));
    let pointer = text.filter(|text| text.chars().all(plain)).and_then(pointer);
    match (pointer, wanted) {
        (Some(pointer), Some(wanted)) if operator == "==" => probe.set_json(pointer, wanted, &path, left),
        _ => path.leave(
            left,
            "one value of an answer can be compared with `==` (`expect.json`), and in no other way",
        ),
    }
}
