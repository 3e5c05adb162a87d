//! The most work that a rule could be.
//!
//! A unit is about what one step of the interpreter takes: an eighth of a microsecond. What goes through a text or a whole
//! structure is charged by the bytes that there are at most, a loop by the values.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, operators};

use crate::facts::Facts;

/// The most work that a rule may be, in units: about a tenth of a second.
pub const MAX_WORK: u64 = 1_000_000;
/// Bytes of text that are gone through or copied in a unit of work.
const BYTES: u64 = 2_048;
/// What a pattern costs, which is compiled each time.
const PATTERN: u64 = 2_000;

/// Works out what a rule could cost.
pub(crate) struct Cost {
    /// Values that a list or map may have.
    values: u64,
    /// What going through a text may cost.
    text: u64,
}

impl Cost {
    /// With these facts, of a rule with so many nodes, so many of which are additions.
    pub(crate) fn new(facts: &Facts, nodes: usize, additions: u32) -> Self {
        // Each addition may at most double what there is.
        let grown = 1_u64.checked_shl(additions).unwrap_or(u64::MAX);
        let nodes = nodes as u64;
        let values = facts.values.saturating_add(nodes).saturating_mul(grown);
        let text = (facts.bytes / BYTES).saturating_add(1).saturating_add(facts.values / 8);
        Self { values, text: text.saturating_mul(grown) }
    }

    /// The most that it could cost.
    pub(crate) fn of(&self, expr: &IdedExpr) -> u64 {
        let own = 1_u64;
        let parts = match &expr.expr {
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
            Expr::Select(select) => self.of(&select.operand),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.all(&list.elements),
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr)),
            Expr::Struct(s) => self.entries(s.entries.iter().map(|entry| &entry.expr)),
            Expr::Comprehension(c) => self.comprehension(c),
        };
        own.saturating_add(parts)
    }

    fn all<'a>(&self, exprs: impl IntoIterator<Item = &'a IdedExpr>) -> u64 {
        exprs.into_iter().fold(0, |sum, expr| sum.saturating_add(self.of(expr)))
    }

    fn entries<'a>(&self, entries: impl Iterator<Item = &'a EntryExpr>) -> u64 {
        entries.fold(0, |sum, entry| {
            let cost = match entry {
                EntryExpr::StructField(field) => self.of(&field.value),
                EntryExpr::MapEntry(entry) => self.of(&entry.key).saturating_add(self.of(&entry.value)),
            };
            sum.saturating_add(cost)
        })
    }

    fn call(&self, call: &CallExpr) -> u64 {
        let parts = call.target.as_deref().into_iter().chain(&call.args);
        // What is compared with a short literal is not gone through further than that is long.
        let short = call.args.iter().any(|arg| matches!(arg.expr, Expr::Literal(_)));
        let own = match call.func_name.as_str() {
            operators::CONDITIONAL
            | operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE
            | operators::INDEX => 0,
            operators::EQUALS
            | operators::NOT_EQUALS
            | operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS
                if short =>
            {
                0
            }
            operators::IN => self.values.saturating_add(self.text),
            "matches" => self.text.saturating_add(PATTERN),
            _ => self.text,
        };
        own.saturating_add(self.all(parts))
    }

    fn comprehension(&self, c: &ComprehensionExpr) -> u64 {
        let rounds = match &c.iter_range.expr {
            Expr::List(list) => list.elements.len() as u64,
            _ => self.values,
        };
        let collects = matches!(c.accu_init.expr, Expr::List(_));
        let step = match (&c.loop_step.expr, collects) {
            // What `map` and `filter` collect is added to in place.
            (Expr::Call(call), true) => self.collecting(call),
            _ => self.of(&c.loop_step),
        };
        let round = step.saturating_add(self.of(&c.loop_cond)).saturating_add(1);
        let rest = self.all([&c.iter_range, &c.accu_init, &c.result]);
        rounds.saturating_mul(round).saturating_add(rest)
    }

    /// `accumulator + [element]`, perhaps behind a condition.
    fn collecting(&self, call: &CallExpr) -> u64 {
        match call.func_name.as_str() {
            operators::ADD => self.all(&call.args),
            operators::CONDITIONAL => call.args.iter().fold(1, |sum: u64, arg| {
                sum.saturating_add(match &arg.expr {
                    Expr::Call(call) if call.func_name == operators::ADD => self.all(&call.args),
                    _ => self.of(arg),
                })
            }),
            _ => self.text.saturating_add(self.all(&call.args)),
        }
    }
}
