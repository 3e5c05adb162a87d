//! What a rule is judged with.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, Value};
use serde_json::Value as Json;

/// The language's own functions, without optional values: what is absent is asked for with `has`.
pub(crate) static LANGUAGE: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// The variables of a rule and their values.
pub struct Facts {
    pub(crate) context: Context<'static, 'static>,
    /// How many values there are, those within others counted.
    pub(crate) values: u64,
    /// Bytes of all texts.
    pub(crate) bytes: u64,
}

impl Default for Facts {
    fn default() -> Self {
        Self { context: Context::with_env(LANGUAGE.clone()), values: 0, bytes: 0 }
    }
}

impl Facts {
    /// Gives a variable its value.
    pub fn set(&mut self, name: &str, value: &Json) {
        let value = self.value(value);
        self.context.add_variable_from_value(name, value);
    }

    /// Does a variable have a value?
    pub fn has(&self, name: &str) -> bool {
        self.context.get_variable(name).is_some()
    }

    fn value(&mut self, json: &Json) -> Value {
        self.values += 1;
        match json {
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(*truth),
            // Whole numbers are signed where they can be, so that they can be reckoned with those of the rule.
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => Value::Int(n),
                (None, Some(n)) => Value::UInt(n),
                (None, None) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => self.text(text),
            Json::Array(list) => Value::List(Arc::new(list.iter().map(|value| self.value(value)).collect())),
            Json::Object(members) => {
                let mut map = HashMap::with_capacity(members.len());
                for (key, value) in members {
                    self.bytes = self.bytes.saturating_add(key.len() as u64);
                    map.insert(key.clone(), self.value(value));
                }
                map.into()
            }
        }
    }

    fn text(&mut self, text: &str) -> Value {
        self.bytes = self.bytes.saturating_add(text.len() as u64);
        Value::String(Arc::new(text.to_owned()))
    }
}

/// An answer as JSON has it; `None` for what JSON does not have.
pub(crate) fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::from(*truth),
        Value::Int(n) => Json::from(*n),
        Value::UInt(n) => Json::from(*n),
        Value::Float(n) => Json::from(*n),
        Value::String(text) => Json::from(text.as_str()),
        Value::List(list) => Json::Array(list.iter().map(json).collect::<Option<_>>()?),
        Value::Map(map) => {
            let members = map.map.iter().map(|(key, value)| Some((key.to_string(), json(value)?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
        Value::Function(..) | Value::Bytes(_) | Value::Opaque(_) | Value::Struct(_) => return None,
    })
}
