//! A rule: from its text to its answers.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cel::{
    IdedExpr, Program, Value,
    common::ast::{EntryExpr, Expr, operators},
};
use serde_json::Value as Json;

use crate::{
    bad::{BadRule, Unanswered},
    cost::{Cost, MAX_WORK},
    facts::{Facts, LANGUAGE, json},
    judge::{Judge, boundary},
    kind::Kind,
    reads::{self, Reading},
};

/// Longest rule, in bytes.
pub const MAX_RULE: usize = 1_024;
/// How deep parts of an expression may be within others.
pub const MAX_DEPTH: usize = 24;
/// How deep brackets may go, signs in a row and choices within choices: the parser takes a dozen calls for each, and threads'
/// stacks are small.
pub const MAX_BRACKETS: usize = 8;
/// Most parts of an expression, those that loops are made of counted.
pub const MAX_NODES: usize = 256;

/// A condition, or anything else that can be worked out of facts.
#[derive(Clone)]
pub struct Rule {
    text: Arc<str>,
    program: Arc<Program>,
    nodes: usize,
    additions: u32,
}

impl Rule {
    /// Compiles a rule that may name these variables.
    ///
    /// # Errors
    /// What is wrong with it, where, and what to do.
    pub fn compile(text: &str, names: &[(&str, Kind)]) -> Result<Self, BadRule> {
        Self::read(text, names).map(|(rule, _)| rule)
    }

    /// As [`compile`](Self::compile), of a rule that must come to true or false.
    ///
    /// # Errors
    /// As there; also that it comes to something else.
    pub fn condition(text: &str, names: &[(&str, Kind)]) -> Result<Self, BadRule> {
        let (rule, kind) = Self::read(text, names)?;
        if kind.may_be(Kind::Bool) {
            return Ok(rule);
        }
        let message = format!("this comes to {}, and not to true or false", kind.words());
        let cure = "compare it with what it must be, as in `status == 200`".to_owned();
        Err(BadRule { message, at: 0..text.len(), cure })
    }

    fn read(text: &str, names: &[(&str, Kind)]) -> Result<(Self, Kind), BadRule> {
        let whole =
            |message: String, cure: &str| BadRule { message, at: 0..text.len(), cure: cure.to_owned() };
        if text.len() > MAX_RULE {
            return Err(whole(format!("a rule is of at most {MAX_RULE} bytes"), "split it into several"));
        }
        let deep = |most| whole(format!("it is nested deeper than {most} levels"), "split it into several");
        if brackets(text) > MAX_BRACKETS {
            return Err(deep(MAX_BRACKETS));
        }
        // The parser is generated code: what it does not foresee must not end whoever reads an estate.
        let parsed = catch_unwind(AssertUnwindSafe(|| LANGUAGE.compile(text)));
        let unread =
            || whole("this cannot be read".to_owned(), "write it as CEL has it, as in `status == 200`");
        let program = parsed.map_err(|_| unread())?.map_err(|errors| malformed(text, &errors))?;
        let (nodes, depth, additions) = measure(program.expression());
        if depth > MAX_DEPTH {
            return Err(deep(MAX_DEPTH));
        }
        if nodes > MAX_NODES {
            return Err(whole(format!("it has more than {MAX_NODES} parts"), "split it into several"));
        }
        let kind = Judge::new(text, program.source_info(), names).kind(program.expression())?;
        let program = Arc::new(program);
        Ok((Self { text: text.into(), program, nodes, additions }, kind))
    }

    /// The rule as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Does it read that variable?
    pub fn names(&self, variable: &str) -> bool {
        let places = reads::reads(self.program.expression());
        places.into_iter().filter_map(reads::path).any(|path| path[0] == variable)
    }

    /// Works it out.
    ///
    /// # Errors
    /// Why it has no answer with these facts.
    pub fn answer(&self, facts: &Facts) -> Result<Json, Unanswered> {
        let value = self.value(facts)?;
        json(&value).ok_or(Unanswered::Undefined)
    }

    /// Works out whether it holds.
    ///
    /// # Errors
    /// Why it has no answer with these facts.
    pub fn holds(&self, facts: &Facts) -> Result<bool, Unanswered> {
        match self.value(facts)? {
            Value::Bool(truth) => Ok(truth),
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => Err(Unanswered::NoTruth("a number")),
            Value::String(_) => Err(Unanswered::NoTruth("a text")),
            Value::List(_) => Err(Unanswered::NoTruth("a list")),
            Value::Map(_) => Err(Unanswered::NoTruth("a map")),
            Value::Null => Err(Unanswered::NoTruth("null")),
            Value::Function(..) | Value::Bytes(_) | Value::Opaque(_) | Value::Struct(_) => {
                Err(Unanswered::NoTruth("something else"))
            }
        }
    }

    /// What it reads, and what stands there.
    pub fn readings(&self, facts: &Facts) -> Vec<Reading> {
        reads::readings(&reads::reads(self.program.expression()), facts)
    }

    /// The most work that it could be with these facts; more than [`MAX_WORK`] is not done.
    pub fn work(&self, facts: &Facts) -> u64 {
        Cost::new(facts, self.nodes, self.additions).of(self.program.expression())
    }

    fn value(&self, facts: &Facts) -> Result<Value, Unanswered> {
        if self.work(facts) > MAX_WORK {
            return Err(Unanswered::TooMuchWork);
        }
        self.program.execute(&facts.context).map_err(|e| Unanswered::told(&e, &self.text))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.text).finish()
    }
}

/// The same text is the same rule.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Rule {}

/// How deep the brackets go at most, and what is as deep to a parser: signs in a row. Those within texts count too, which
/// errs on the safe side.
fn brackets(text: &str) -> usize {
    let (mut depth, mut deepest, mut signs) = (0_usize, 0, 0);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        signs = if matches!(c, '!' | '-' | '?') { signs + 1 } else { 0 };
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth + signs);
    }
    // Each `?` of a row of choices holds the next one.
    deepest.max(text.matches('?').count())
}

/// The parts of an expression, how deep they go, and how many additions are among them.
fn measure(expr: &IdedExpr) -> (usize, usize, u32) {
    let mut parts: Vec<&IdedExpr> = Vec::new();
    match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Select(select) => parts.push(&select.operand),
        Expr::Call(call) => parts.extend(call.target.as_deref().into_iter().chain(&call.args)),
        Expr::List(list) => parts.extend(&list.elements),
        Expr::Map(map) => map.entries.iter().for_each(|entry| of_entry(&entry.expr, &mut parts)),
        Expr::Struct(s) => s.entries.iter().for_each(|entry| of_entry(&entry.expr, &mut parts)),
        Expr::Comprehension(c) => {
            parts.extend([&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result]);
        }
    }
    let adds = matches!(&expr.expr, Expr::Call(call) if call.func_name == operators::ADD);
    let own = (1, 0, u32::from(adds));
    let (nodes, depth, additions) = parts
        .into_iter()
        .map(measure)
        .fold(own, |sum, part| (sum.0 + part.0, sum.1.max(part.1), sum.2.saturating_add(part.2)));
    (nodes, depth + 1, additions)
}

fn of_entry<'a>(entry: &'a EntryExpr, parts: &mut Vec<&'a IdedExpr>) {
    match entry {
        EntryExpr::StructField(field) => parts.push(&field.value),
        EntryExpr::MapEntry(entry) => parts.extend([&entry.key, &entry.value]),
    }
}

/// The first of what the parser has to say.
fn malformed(text: &str, errors: &cel::ParseErrors) -> BadRule {
    let cure = "write it as CEL has it, as in `status == 200 && json.state == 'ok'`".to_owned();
    let first = errors.errors.first();
    let (line, column) = first.map_or((1, 0), |e| e.pos);
    let before: usize =
        text.split_inclusive('\n').take(usize::try_from(line - 1).unwrap_or(0)).map(str::len).sum();
    let at = boundary(text, before + usize::try_from(column - 1).unwrap_or(0));
    let said = first.map_or("it is empty", |e| e.msg.as_str());
    let said = said.lines().next().unwrap_or_default();
    let short: String = said.trim_start_matches("Syntax error: ").chars().take(80).collect();
    let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
    BadRule { message: format!("this cannot be read: {short}"), at: at..end, cure }
}
