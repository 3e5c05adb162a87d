//! What a component needs to be up: `all`, `any`, `k of n`.

use std::str::FromStr;

use serde_json::{Value, json};

use super::{At, Code, Decode, Graph, Node, Place, Problem, Problems, SectionReader};
use crate::ComponentId;

/// What a component needs to be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// That component.
    Component(ComponentId),
    /// All of these; nothing at all if there are none.
    All(Vec<Need>),
    /// At least one of these.
    Any(Vec<Need>),
    /// At least so many of these.
    AtLeast {
        /// How many: from 1 to the length of `of`.
        k: usize,
        /// Of what.
        of: Vec<Need>,
    },
}

impl Need {
    /// Every component named, in the order of the estate.
    pub fn components(&self) -> Vec<&ComponentId> {
        match self {
            Self::Component(id) => vec![id],
            Self::All(of) | Self::Any(of) | Self::AtLeast { of, .. } => {
                of.iter().flat_map(Self::components).collect()
            }
        }
    }
}

/// A need as written. Depth is bounded by the TOML parser's own limit.
#[derive(Debug, Clone)]
pub enum RawNeed {
    /// A component's id.
    Component(At<String>),
    /// `{ all = [...] }`.
    All(Vec<RawNeed>),
    /// `{ any = [...] }`.
    Any(At<Vec<RawNeed>>),
    /// `{ k = 2, of = [...] }`.
    AtLeast(At<u64>, Vec<RawNeed>),
}

const EXPECTED: &str = "a component as in `pool:ethereum`, or a table with `all`, `any`, or `k` and `of`";

impl Decode for RawNeed {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        if let Some(text) = node.text() {
            return Some(Self::Component(At::new(text.to_owned(), node.place)));
        }
        let keys: Vec<_> = node.entries(EXPECTED, problems)?.into_iter().map(|e| e.0).collect();
        let mut reader = SectionReader::open(node, problems)?;
        if keys.contains(&"k") || keys.contains(&"of") {
            let (k, of) = (reader.required("k"), reader.required("of"));
            reader.close(&["k", "of"]);
            return Some(Self::AtLeast(k?, of?));
        }
        match (keys.contains(&"all"), keys.contains(&"any")) {
            (true, false) => {
                let all = reader.required("all");
                reader.close(&["all"]);
                all.map(Self::All)
            }
            (false, true) => {
                let any = reader.required("any");
                reader.close(&["any"]);
                any.map(Self::Any)
            }
            (true, true) => {
                let message = "`all` and `any` cannot stand side by side";
                let help = "put one inside the other: `{ all = [\"…\", { any = [...] }] }`";
                problems.report(Problem::new(Code::Contradiction, node.place, message).help(help));
                None
            }
            (false, false) => {
                reader.close(&["all", "any", "k", "of"]);
                problems.report(Problem::new(Code::MissingKey, node.place, format!("expected {EXPECTED}")));
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "$ref": "#/$defs/need" })
    }
}

impl RawNeed {
    /// The schema that [`RawNeed`]'s own refers to as `#/$defs/need`, since needs stand within needs.
    pub fn definition() -> Value {
        let list = json!({ "type": "array", "items": Self::schema() });
        let table = |properties: Value, required: Value| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
        json!({
            "description": EXPECTED,
            "anyOf": [
                { "type": "string", "pattern": "^(service|pool|upstream|provider|region):" },
                table(json!({ "all": list }), json!(["all"])),
                table(json!({ "any": list }), json!(["any"])),
                table(json!({ "k": u64::schema(), "of": list }), json!(["k", "of"])),
            ],
        })
    }

    /// Resolves the names against the components declared in `graph`.
    pub(super) fn validate(&self, graph: &Graph, problems: &mut Problems) -> Option<Need> {
        let each = |of: &[Self], problems: &mut Problems| {
            let found: Vec<_> = of.iter().map(|n| n.validate(graph, problems)).collect();
            found.into_iter().collect::<Option<Vec<_>>>()
        };
        match self {
            Self::Component(text) => component(text, graph, problems).map(Need::Component),
            Self::All(of) => each(of, problems).map(Need::All),
            Self::Any(of) => {
                let n = of.value.len();
                let of_place = of.place;
                let any = each(&of.value, problems);
                choice_exists(1, n, of_place, "`any`", problems)?;
                any.map(Need::Any)
            }
            Self::AtLeast(k, of) => {
                let needs = each(of, problems);
                let k = choice_exists(k.value, of.len(), k.place, "`k`", problems)?;
                Some(Need::AtLeast { k, of: needs? })
            }
        }
    }
}

fn choice_exists(k: u64, n: usize, place: Place, key: &str, problems: &mut Problems) -> Option<usize> {
    let fits = usize::try_from(k).ok().filter(|k| (1..=n).contains(k));
    if fits.is_none() {
        let message = format!("{key} needs {k} of {n}");
        let help = "need at least 1, and no more than there are to choose from";
        problems.report(Problem::new(Code::NoChoice, place, message).help(help));
    }
    fits
}

fn component(text: &At<String>, graph: &Graph, problems: &mut Problems) -> Option<ComponentId> {
    let read = ComponentId::from_str(&text.value).ok().filter(|id| graph.contains(id));
    if read.is_none() {
        let message = format!("unknown component {}", problems.quote(&text.value, text.place));
        let problem = Problem::new(Code::UnknownReference, text.place, message);
        // A name without its kind is the likeliest slip.
        match graph.components().find(|id| id.path() == text.value) {
            Some(id) => problems.report(problem.help(format!("did you mean `{id}`?"))),
            None => {
                let help = "name a service, pool, upstream, provider or region, as in `pool:ethereum`";
                let known = graph.components().map(ToString::to_string);
                problems.report_unlike(problem.help(help), &text.value, known);
            }
        }
    }
    read
}
