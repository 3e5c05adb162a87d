//! Envelopes, written.

use serde_json::value::RawValue;

/// Appends an error answer. `id` of `None` is written as null; `data` must be JSON.
pub fn write_error(out: &mut Vec<u8>, id: Option<&RawValue>, code: i64, message: &str, data: Option<&str>) {
    open(out, id);
    out.extend_from_slice(b",\"error\":{\"code\":");
    write_json(out, &code);
    out.extend_from_slice(b",\"message\":");
    write_json(out, message);
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data.as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// Appends an answer with a result, which must be JSON. `id` of `None` is written as null.
pub fn write_result(out: &mut Vec<u8>, id: Option<&RawValue>, result: &str) {
    open(out, id);
    out.extend_from_slice(RESULT.as_bytes());
    out.extend_from_slice(result.as_bytes());
    out.push(b'}');
}

/// How long, in bytes, what [`write_result`] appends is.
pub fn result_len(id: Option<&RawValue>, result: &str) -> usize {
    CALL.len() + id.map_or("null", RawValue::get).len() + RESULT.len() + result.len() + 1
}

const RESULT: &str = ",\"result\":";

/// Appends a call. `id` and `params` are JSON; a `params` of `None` is left out.
pub fn write_call(out: &mut Vec<u8>, id: &str, method: &str, params: Option<&str>) {
    write_call_with(out, id, method, |out| {
        out.extend_from_slice(params.unwrap_or_default().as_bytes());
        params.is_some()
    });
}

/// Where the id of a written call begins.
pub const CALL_ID: usize = CALL.len();
const CALL: &str = "{\"jsonrpc\":\"2.0\",\"id\":";

/// Appends a call whose parameters `params` appends, or says by `false` that there are none.
pub fn write_call_with(out: &mut Vec<u8>, id: &str, method: &str, params: impl FnOnce(&mut Vec<u8>) -> bool) {
    out.extend_from_slice(CALL.as_bytes());
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"method\":");
    write_json(out, method);
    let end = out.len();
    out.extend_from_slice(b",\"params\":");
    if !params(out) {
        out.truncate(end);
    }
    out.push(b'}');
}

fn open(out: &mut Vec<u8>, id: Option<&RawValue>) {
    out.extend_from_slice(CALL.as_bytes());
    out.extend_from_slice(id.map_or("null", RawValue::get).as_bytes());
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("a number or a string always serializes, and a Vec takes it");
}
