//! Which of its variables a rule reads, and what stood there: the evidence for its answer.

use std::collections::BTreeSet;

use cel::{
    Value,
    common::{
        ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators},
        types::{CelInt, CelString},
    },
};
use serde_json::Value as Json;

use crate::facts::{Facts, json};

/// Most readings of one rule that are told.
pub const MAX_READS: usize = 8;

/// A place that a rule reads, as in `json.result.status`, and what stood there.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The variable's name, and the keys that follow.
    pub path: Vec<String>,
    /// What stood there; `None` if nothing did.
    pub value: Option<Json>,
}

impl Reading {
    /// The place as the rule may have it.
    pub fn place(&self) -> String {
        let mut place = String::new();
        for (i, part) in self.path.iter().enumerate() {
            let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let number = part.bytes().all(|b| b.is_ascii_digit());
            match (i, plain && !number) {
                (0, _) => place += part,
                (_, true) => place = format!("{place}.{part}"),
                (_, false) if number => place = format!("{place}[{part}]"),
                (_, false) => place = format!("{place}['{part}']"),
            }
        }
        place
    }
}

/// The places that an expression reads, each once, in the order in which they are written.
pub(crate) fn reads(expr: &IdedExpr) -> Vec<&IdedExpr> {
    let (mut found, mut bound) = (Vec::new(), Vec::new());
    walk(expr, &mut bound, &mut found);
    let mut seen = BTreeSet::new();
    found.retain(|expr| path(expr).is_some_and(|path| seen.insert(path)));
    found
}

/// What stands at each of the places.
pub(crate) fn readings(places: &[&IdedExpr], facts: &Facts) -> Vec<Reading> {
    let reading = |expr: &&IdedExpr| {
        let value = Value::resolve(expr, &facts.context).ok();
        Some(Reading { path: path(expr)?, value: value.as_ref().and_then(json) })
    };
    places.iter().filter_map(reading).take(MAX_READS).collect()
}

/// A variable's name and the literal keys that follow it; `None` if it is anything else.
pub(crate) fn path(expr: &IdedExpr) -> Option<Vec<String>> {
    match &expr.expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        // Of a test for presence (`has`) it is told in what was looked.
        Expr::Select(select) if !select.test => {
            let mut path = path(&select.operand)?;
            path.push(select.field.clone());
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX && call.target.is_none() => {
            let [of, key] = call.args.as_slice() else { return None };
            let mut path = path(of)?;
            path.push(literal(key)?);
            Some(path)
        }
        _ => None,
    }
}

fn literal(expr: &IdedExpr) -> Option<String> {
    let Expr::Literal(literal) = &expr.expr else { return None };
    match literal {
        LiteralValue::String(text) => Some(text_of(text)),
        LiteralValue::Int(n) => Some(number_of(n).to_string()),
        _ => None,
    }
}

fn text_of(text: &CelString<'static>) -> String {
    text.inner().to_owned()
}

fn number_of(n: &CelInt) -> i64 {
    *n.inner()
}

/// Finds the longest paths that begin with a variable which is not a loop's own.
fn walk<'a>(expr: &'a IdedExpr, bound: &mut Vec<&'a str>, found: &mut Vec<&'a IdedExpr>) {
    if let Some(path) = path(expr) {
        if !bound.contains(&path[0].as_str()) {
            found.push(expr);
        }
        return;
    }
    match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Select(select) => walk(&select.operand, bound, found),
        Expr::Call(call) => {
            call.target.iter().for_each(|target| walk(target, bound, found));
            call.args.iter().for_each(|arg| walk(arg, bound, found));
        }
        Expr::List(list) => list.elements.iter().for_each(|element| walk(element, bound, found)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| walk_entry(&entry.expr, bound, found)),
        Expr::Struct(s) => s.entries.iter().for_each(|entry| walk_entry(&entry.expr, bound, found)),
        Expr::Comprehension(c) => {
            walk(&c.iter_range, bound, found);
            let before = bound.len();
            bound.extend([c.iter_var.as_str(), c.accu_var.as_str()]);
            bound.extend(c.iter_var2.as_deref());
            for part in [&c.accu_init, &c.loop_cond, &c.loop_step, &c.result] {
                walk(part, bound, found);
            }
            bound.truncate(before);
        }
    }
}

fn walk_entry<'a>(entry: &'a EntryExpr, bound: &mut Vec<&'a str>, found: &mut Vec<&'a IdedExpr>) {
    match entry {
        EntryExpr::StructField(field) => walk(&field.value, bound, found),
        EntryExpr::MapEntry(entry) => {
            walk(&entry.key, bound, found);
            walk(&entry.value, bound, found);
        }
    }
}
