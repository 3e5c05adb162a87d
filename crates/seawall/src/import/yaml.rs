//! YAML as a tree of settings, with a limit on all that a file can make large.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::tree::{Broken, Tree, Value};

/// Most values, those counted that an alias repeats.
const MAX_VALUES: usize = 20_000;
/// Most levels.
const MAX_DEPTH: usize = 64;

/// Reads the file's first document.
pub(super) fn yaml(text: &str) -> Result<Tree, Broken> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|e| Broken { line: e.marker().line(), why: e.info().to_owned() })?;
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => break,
            Event::Alias(anchor) => builder.repeat(anchor, line)?,
            Event::Scalar(text, style, anchor, _) => {
                let null = style == ScalarStyle::Plain && ["", "~", "null"].contains(&&*text);
                let value = if null { Value::Null } else { Value::Text(text.into_owned()) };
                builder.count(1, line)?;
                builder.put(Tree { line, value }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => builder.open(Value::List(Vec::new()), anchor, line)?,
            Event::MappingStart(anchor, _) => builder.open(Value::Map(Vec::new()), anchor, line)?,
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
        }
    }
    Ok(builder.done.unwrap_or(Tree { line: 1, value: Value::Null }))
}

/// A list or map whose end has not come.
struct Open {
    tree: Tree,
    anchor: usize,
    key: Option<(String, usize)>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    /// What anchors stand for, with how many values and levels that is.
    anchors: BTreeMap<usize, (Tree, usize, usize)>,
    values: usize,
    done: Option<Tree>,
}

impl Builder {
    fn count(&mut self, values: usize, line: usize) -> Result<(), Broken> {
        self.values += values;
        match self.values > MAX_VALUES {
            true => Err(Broken { line, why: format!("it holds more than {MAX_VALUES} values") }),
            false => Ok(()),
        }
    }

    fn deep(&self, more: usize, line: usize) -> Result<(), Broken> {
        match self.open.len() + more > MAX_DEPTH {
            true => Err(Broken { line, why: format!("it is more than {MAX_DEPTH} levels deep") }),
            false => Ok(()),
        }
    }

    fn open(&mut self, value: Value, anchor: usize, line: usize) -> Result<(), Broken> {
        self.count(1, line)?;
        self.deep(1, line)?;
        self.open.push(Open { tree: Tree { line, value }, anchor, key: None });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Broken> {
        let Some(Open { mut tree, anchor, .. }) = self.open.pop() else { return Ok(()) };
        if let Value::Map(entries) = &mut tree.value {
            merge(entries);
        }
        self.put(tree, anchor)
    }

    fn repeat(&mut self, anchor: usize, line: usize) -> Result<(), Broken> {
        let Some((tree, values, levels)) = self.anchors.get(&anchor) else {
            return Err(Broken { line, why: "an alias stands within what it repeats".to_owned() });
        };
        let (tree, values, levels) = (Tree { line, ..tree.clone() }, *values, *levels);
        self.count(values, line)?;
        self.deep(levels, line)?;
        self.put(tree, 0)
    }

    /// Puts a whole value where it belongs.
    fn put(&mut self, tree: Tree, anchor: usize) -> Result<(), Broken> {
        if anchor > 0 {
            let (values, levels) = extent(&tree);
            // It is kept beside the value itself.
            self.count(values, tree.line)?;
            self.anchors.insert(anchor, (tree.clone(), values, levels));
        }
        let Some(open) = self.open.last_mut() else {
            self.done.get_or_insert(tree);
            return Ok(());
        };
        match (&mut open.tree.value, open.key.take()) {
            (Value::List(items), _) => items.push(tree),
            (Value::Map(entries), Some((key, line))) => entries.push((key, Tree { line, ..tree })),
            (Value::Map(entries), None) => {
                let key = match tree.value {
                    Value::Text(text) => text,
                    Value::Null => String::new(),
                    Value::List(_) | Value::Map(_) => {
                        return Err(Broken { line: tree.line, why: "a key is no text".to_owned() });
                    }
                };
                if key != "<<" && entries.iter().any(|(known, _)| *known == key) {
                    return Err(Broken { line: tree.line, why: "a key is there twice".to_owned() });
                }
                open.key = Some((key, tree.line));
            }
            (Value::Null | Value::Text(_), _) => {}
        }
        Ok(())
    }
}

/// How many values and levels there are.
fn extent(tree: &Tree) -> (usize, usize) {
    let below = |trees: &mut dyn Iterator<Item = &Tree>| {
        let sum = trees.map(extent).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1.max(one.1)));
        (sum.0 + 1, sum.1 + 1)
    };
    match &tree.value {
        Value::Null | Value::Text(_) => (1, 0),
        Value::List(items) => below(&mut items.iter()),
        Value::Map(entries) => below(&mut entries.iter().map(|(_, tree)| tree)),
    }
}

/// Takes in what `<<` names; the map's own keys hold against it.
fn merge(entries: &mut Vec<(String, Tree)>) {
    let (merged, own): (Vec<_>, Vec<_>) =
        std::mem::take(entries).into_iter().partition(|(key, _)| key == "<<");
    *entries = own;
    let mut take = |tree: Tree| {
        let Value::Map(more) = tree.value else { return };
        for (key, tree) in more {
            if !entries.iter().any(|(known, _)| *known == key) {
                entries.push((key, tree));
            }
        }
    };
    for (_, tree) in merged {
        match tree.value {
            Value::List(items) => items.into_iter().for_each(&mut take),
            Value::Null | Value::Text(_) | Value::Map(_) => take(tree),
        }
    }
}
