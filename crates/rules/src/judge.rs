//! What is wrong with a rule can be told, as far as kinds tell, before there is anything to judge.

use std::ops::Range;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use regex::RegexBuilder;

use crate::{bad::BadRule, kind::Kind};

/// Largest that a pattern may become when it is compiled, in bytes.
const MAX_PATTERN: usize = 64 * 1024;
/// Names that are so alike are suggested.
const ALIKE: f64 = 0.7;

/// Functions that are called by themselves, with so many arguments, and what they give.
const FUNCTIONS: [(&str, usize, Kind); 9] = [
    ("size", 1, Kind::Number),
    ("int", 1, Kind::Number),
    ("uint", 1, Kind::Number),
    ("double", 1, Kind::Number),
    ("string", 1, Kind::Text),
    ("bool", 1, Kind::Bool),
    ("dyn", 1, Kind::Any),
    ("matches", 2, Kind::Bool),
    (operators::NOT_STRICTLY_FALSE, 1, Kind::Bool),
];
/// Functions of a value, with so many arguments more, what they are of, and what they give.
const METHODS: [(&str, usize, Kind, Kind); 5] = [
    ("contains", 1, Kind::Text, Kind::Bool),
    ("startsWith", 1, Kind::Text, Kind::Bool),
    ("endsWith", 1, Kind::Text, Kind::Bool),
    ("matches", 1, Kind::Text, Kind::Bool),
    ("size", 0, Kind::Any, Kind::Number),
];
/// What loops over a list or map is written with.
const LOOPS: [&str; 6] = ["all", "exists", "exists_one", "filter", "has", "map"];

/// Judges a rule's parts.
pub(crate) struct Judge<'a> {
    info: &'a SourceInfo,
    text: &'a str,
    /// The variables there are, the loops' own last.
    names: Vec<(&'a str, Kind)>,
}

type Judged = Result<Kind, BadRule>;

impl<'a> Judge<'a> {
    pub(crate) fn new(text: &'a str, info: &'a SourceInfo, names: &[(&'a str, Kind)]) -> Self {
        Self { info, text, names: names.to_vec() }
    }

    /// The kind of the expression's value.
    pub(crate) fn kind(&mut self, expr: &'a IdedExpr) -> Judged {
        match &expr.expr {
            Expr::Unspecified => Err(self.bad(expr, "this is no expression", "write a whole condition")),
            Expr::Ident(name) => self.variable(expr, name),
            Expr::Literal(literal) => Ok(literal_kind(literal)),
            Expr::Select(select) => self.select(expr, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.kind(element).map(drop))?;
                Ok(Kind::List)
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.kind(&entry.key)?;
                        self.kind(&entry.value)?;
                    }
                }
                Ok(Kind::Any)
            }
            Expr::Struct(_) => {
                Err(self.bad(expr, "there are no types to make values of", "compare the members one by one"))
            }
            Expr::Comprehension(c) => self.comprehension(c),
        }
    }

    fn variable(&self, expr: &IdedExpr, name: &str) -> Judged {
        if let Some((_, kind)) = self.names.iter().rev().find(|(known, _)| *known == name) {
            return Ok(*kind);
        }
        let known: Vec<_> = self.names.iter().map(|(known, _)| *known).collect();
        Err(self.bad(expr, format!("there is no `{name}`"), one_of(name, &known)))
    }

    fn select(&mut self, expr: &IdedExpr, select: &'a SelectExpr) -> Judged {
        let of = self.kind(&select.operand)?;
        let kind = self.member(expr, of, &select.field)?;
        Ok(if select.test { Kind::Bool } else { kind })
    }

    fn member(&self, expr: &IdedExpr, of: Kind, name: &str) -> Judged {
        match of {
            Kind::Any => Ok(Kind::Any),
            Kind::Texts => Ok(Kind::Text),
            Kind::Record(members) => match members.iter().find(|(known, _)| *known == name) {
                Some((_, kind)) => Ok(*kind),
                None => {
                    let known: Vec<_> = members.iter().map(|(known, _)| *known).collect();
                    Err(self.bad(expr, format!("there is no `{name}` in it"), one_of(name, &known)))
                }
            },
            Kind::Bool | Kind::Number | Kind::Text | Kind::List | Kind::Null => {
                let message = format!("{} has no `{name}`", of.words());
                Err(self.bad(expr, message, "only maps have members; a list's are counted, as in `list[0]`"))
            }
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &'a CallExpr) -> Judged {
        let name = call.func_name.as_str();
        if let Some(target) = &call.target {
            return self.method(expr, call, target);
        }
        let kinds: Vec<Kind> = call.args.iter().map(|arg| self.kind(arg)).collect::<Result<_, _>>()?;
        match (name, kinds.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, _) => {
                call.args
                    .iter()
                    .zip(&kinds)
                    .try_for_each(|(arg, kind)| self.wants(arg, *kind, Kind::Bool))?;
                Ok(Kind::Bool)
            }
            (operators::CONDITIONAL, [condition, then, other]) => {
                self.wants(&call.args[0], *condition, Kind::Bool)?;
                Ok(if then == other { *then } else { Kind::Any })
            }
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                self.meet(expr, *left, *right, "they are never equal").map(|()| Kind::Bool)
            }
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [left, right],
            ) => self.meet(expr, *left, *right, "they have no order").map(|()| Kind::Bool),
            (operators::ADD, [left, right]) => {
                self.meet(expr, *left, *right, "they cannot be added")?;
                Ok(if left == right { *left } else { Kind::Any })
            }
            (operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, _)
            | (operators::NEGATE, _) => {
                call.args
                    .iter()
                    .zip(&kinds)
                    .try_for_each(|(arg, kind)| self.wants(arg, *kind, Kind::Number))?;
                Ok(Kind::Number)
            }
            (operators::INDEX, [of, key]) => self.index(expr, &call.args[1], *of, *key),
            (operators::IN, [_, within]) => match within {
                Kind::Any | Kind::List | Kind::Texts | Kind::Record(_) => Ok(Kind::Bool),
                Kind::Bool | Kind::Number | Kind::Text | Kind::Null => {
                    let message = format!("nothing is in {}", within.words());
                    Err(self.bad(
                        &call.args[1],
                        message,
                        "use `in` with a list or map, and `.contains()` with a text",
                    ))
                }
            },
            ("matches", [of, _]) => {
                self.wants(&call.args[0], *of, Kind::Text)?;
                self.pattern(&call.args[1])
            }
            (name, kinds) => {
                let known = FUNCTIONS.iter().find(|(known, n, _)| *known == name && *n == kinds.len());
                known.map(|(.., gives)| *gives).ok_or_else(|| self.no_function(expr, name))
            }
        }
    }

    fn method(&mut self, expr: &IdedExpr, call: &'a CallExpr, target: &'a IdedExpr) -> Judged {
        let name = call.func_name.as_str();
        let known = METHODS.iter().find(|(known, n, ..)| *known == name && *n == call.args.len());
        let Some((_, _, of, gives)) = known else { return Err(self.no_function(expr, name)) };
        let kind = self.kind(target)?;
        if *of != Kind::Any {
            self.wants(target, kind, *of)?;
        }
        for arg in &call.args {
            let kind = self.kind(arg)?;
            self.wants(arg, kind, Kind::Text)?;
        }
        if name == "matches" {
            self.pattern(&call.args[0])?;
        }
        Ok(*gives)
    }

    fn no_function(&self, expr: &IdedExpr, name: &str) -> BadRule {
        let known: Vec<_> = FUNCTIONS[..FUNCTIONS.len() - 1]
            .iter()
            .map(|(known, ..)| *known)
            .chain(METHODS.iter().map(|(known, ..)| *known))
            .chain(LOOPS)
            .collect();
        let message = format!("there is no function `{name}` that is called like this");
        self.bad(expr, message, one_of(name, &known))
    }

    fn index(&self, expr: &IdedExpr, key: &IdedExpr, of: Kind, by: Kind) -> Judged {
        match (&key.expr, of) {
            (Expr::Literal(LiteralValue::String(name)), _) => self.member(expr, of, name.inner()),
            (_, Kind::Any | Kind::List) => Ok(Kind::Any),
            (_, Kind::Texts) if by.may_be(Kind::Text) => Ok(Kind::Text),
            (_, Kind::Record(_)) if by.may_be(Kind::Text) => Ok(Kind::Any),
            (_, of) => {
                let message = format!("{} has nothing at {}", of.words(), by.words());
                Err(self.bad(expr, message, "lists have numbers in the brackets, maps have texts"))
            }
        }
    }

    fn pattern(&self, expr: &IdedExpr) -> Judged {
        let Expr::Literal(LiteralValue::String(pattern)) = &expr.expr else {
            let cure = "write the pattern itself, in quotes";
            return Err(self.bad(expr, "a pattern must stand in the rule", cure));
        };
        match RegexBuilder::new(pattern.inner()).size_limit(MAX_PATTERN).build() {
            Ok(_) => Ok(Kind::Bool),
            Err(_) => {
                let message =
                    format!("this is no regular expression, or one larger than {MAX_PATTERN} bytes");
                Err(self.bad(
                    expr,
                    message,
                    "write it in RE2's syntax; raw texts (`r'\\d+'`) save backslashes",
                ))
            }
        }
    }

    fn comprehension(&mut self, c: &'a ComprehensionExpr) -> Judged {
        let over = self.kind(&c.iter_range)?;
        if matches!(over, Kind::Bool | Kind::Number | Kind::Text | Kind::Null) {
            let message = format!("there is nothing to go through in {}", over.words());
            return Err(self.bad(&c.iter_range, message, "go through a list, or through the keys of a map"));
        }
        let element = match over {
            Kind::Texts | Kind::Record(_) => Kind::Text,
            _ => Kind::Any,
        };
        let collected = self.kind(&c.accu_init)?;
        let before = self.names.len();
        self.names.push((&c.iter_var, element));
        self.names.extend(c.iter_var2.as_deref().map(|name| (name, Kind::Any)));
        self.names.push((&c.accu_var, collected));
        let judged = [&c.loop_cond, &c.loop_step].into_iter().try_for_each(|part| self.kind(part).map(drop));
        let result = judged.and_then(|()| self.kind(&c.result));
        self.names.truncate(before);
        result
    }

    fn wants(&self, expr: &IdedExpr, kind: Kind, wanted: Kind) -> Result<(), BadRule> {
        if kind.may_be(wanted) {
            return Ok(());
        }
        let message = format!("this is {}, where {} must stand", kind.words(), wanted.words());
        Err(self.bad(
            expr,
            message,
            "compare it with something, or convert it (`int()`, `double()`, `string()`)",
        ))
    }

    fn meet(&self, expr: &IdedExpr, left: Kind, right: Kind, so: &str) -> Result<(), BadRule> {
        if left.meets(right) {
            return Ok(());
        }
        let message = format!("one side is {}, the other {}: {so}", left.words(), right.words());
        Err(self.bad(
            expr,
            message,
            "compare like with like, or convert one (`int()`, `double()`, `string()`)",
        ))
    }

    pub(crate) fn bad(
        &self,
        expr: &IdedExpr,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> BadRule {
        BadRule { message: message.into(), at: place(self.info, self.text, expr.id), cure: cure.into() }
    }
}

/// Where an expression stands, in bytes.
fn place(info: &SourceInfo, text: &str, id: u64) -> Range<usize> {
    let Some((start, stop)) = info.offset_for(id) else { return 0..text.len() };
    let (start, stop) = (boundary(text, start as usize), boundary(text, stop as usize + 1));
    start..stop.max(start)
}

/// The last boundary of characters that is no further than that.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn literal_kind(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => Kind::Bool,
        LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Kind::Number,
        LiteralValue::Null => Kind::Null,
        LiteralValue::String(_) => Kind::Text,
        LiteralValue::Bytes(_) => Kind::Any,
    }
}

/// What could have been meant.
fn one_of(name: &str, known: &[&str]) -> String {
    let alike = |known: &&&str| strsim::jaro_winkler(name, known);
    let best = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    match best.filter(|best| alike(best) >= ALIKE) {
        Some(best) => format!("did you mean `{best}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}
