//! Targets and secrets of probes, and what is made of them all.

use std::fmt::Write;

use seawall_model::Name;
use seawall_probe::{Target, core::target::RecordKind, estate::MAX_PROBES};

use super::{
    super::{
        draft::{Draft, Value, name, unique, unique_from},
        source::{HEADER, Source, listed, without_user},
        tree::{Field, Left},
    },
    Aim, Probe,
};

/// Most text of probes, in bytes: it has to fit into one file of an estate.
const MAX_TEXT: usize = 900 << 10;
/// Most services that groups become.
const MAX_GROUPS: usize = 1_000;

impl Draft {
    /// The target that `text`, which stands at `field`, comes to. `None` if there is none; why has been told.
    pub(in crate::import) fn target(
        &mut self,
        text: &str,
        source: Source,
        owner: &str,
        field: &Field<'_>,
        left: &mut Left,
    ) -> Option<Aim> {
        let stand_in = stand_in(text);
        let of_variable = |name: String| {
            let target = stand_in.parse().expect("it is written as its scheme wants");
            Some(Aim { text: format!("env:{name}"), target, authorization: None })
        };
        match source {
            Source::Variable(name) if self.variable(&name, &stand_in) => of_variable(name),
            Source::Variable(name) => {
                field.leave(
                    left,
                    format!(
                        "${{{name}}} stands for another kind of value elsewhere: use one variable for each"
                    ),
                );
                None
            }
            Source::Mixed(names) => {
                let own = self.new_variable(&format!("{owner}_TARGET"), &stand_in);
                let names = listed(&names);
                let reason = format!(
                    "a target comes whole from the environment: set {own} to this one, with {names} put in"
                );
                field.leave(left, reason);
                of_variable(own)
            }
            Source::Literal(text) => {
                let (text, authorization) = without_user(&text);
                let text = match text.split_once('#') {
                    Some((sent, _)) => {
                        field.leave(left, "what follows `#` is never sent, and is left out");
                        sent.to_owned()
                    }
                    None => text,
                };
                match text.parse::<Target>() {
                    Ok(target) => Some(Aim { text, target, authorization }),
                    Err(e) => {
                        field.leave(left, format!("{e}: {}", e.cure()));
                        None
                    }
                }
            }
        }
    }

    /// A target that nobody told, of the kind that `like` is: it comes from a variable, whose name is given as well.
    pub(in crate::import) fn unknown_target(&mut self, like: &str, owner: &str) -> (Aim, String) {
        let own = self.new_variable(&format!("{owner}_TARGET"), like);
        let target = like.parse().expect("the importer names a target");
        (Aim { text: format!("env:{own}"), target, authorization: None }, own)
    }

    /// The text of a header or a body, which may be secret: itself, or `env:NAME`. `what` is what it is.
    pub(in crate::import) fn secret(
        &mut self,
        source: Source,
        (what, suffix): (&str, &str),
        owner: &str,
        field: &Field<'_>,
        left: &mut Left,
    ) -> Option<String> {
        match source {
            Source::Variable(name) if self.variable(&name, HEADER) => Some(format!("env:{name}")),
            Source::Variable(name) => {
                field.leave(
                    left,
                    format!(
                        "${{{name}}} stands for another kind of value elsewhere: use one variable for each"
                    ),
                );
                None
            }
            Source::Mixed(names) => {
                let own = self.new_variable(&format!("{owner}_{suffix}"), HEADER);
                let names = listed(&names);
                let reason = format!(
                    "{what} comes whole from the environment: set {own} to this one, with {names} put in"
                );
                field.leave(left, reason);
                Some(format!("env:{own}"))
            }
            Source::Literal(text) if text.starts_with("env:") || text.starts_with("file:") => {
                field.leave(left, "an estate would take it for the name of a secret: set it from a variable");
                None
            }
            Source::Literal(text) => Some(text),
        }
    }

    /// `authorization` that does not stand in the file: a variable for all of it. `how` says what it is to be set to.
    pub(in crate::import) fn unknown_header(
        &mut self,
        owner: &str,
        how: &str,
        field: &Field<'_>,
        left: &mut Left,
    ) -> String {
        let own = self.new_variable(&format!("{owner}_AUTHORIZATION"), HEADER);
        field.leave(left, format!("a header comes whole from the environment: set {own} to {how}"));
        format!("env:{own}")
    }

    /// Takes a probe in, under the name nearest to `wanted`, in `group` if it has one. False if there is no room.
    pub(in crate::import) fn add_probe(
        &mut self,
        wanted: &str,
        group: Option<&str>,
        probe: Probe,
        field: &Field<'_>,
        left: &mut Left,
    ) -> bool {
        if let (Target::Dns(question), None) = (&probe.aim.target, &probe.resolver)
            && question.resolver.is_none()
            && !matches!(question.kind, RecordKind::A | RecordKind::Aaaa)
        {
            field.leave(left, "the system's resolver tells of addresses (A, AAAA) only: name whom to ask");
            return false;
        }
        let number = self.numbers.entry(name(wanted)).or_insert(2);
        let name = unique_from(wanted, &mut self.watched, number);
        let text = probe.render(&name);
        // Also what stands in the group's `needs`.
        let size = text.len() + group.map_or(0, |_| name.as_str().len() + 12);
        if self.probes.len() >= MAX_PROBES || self.probes_size + size > MAX_TEXT {
            self.watched.remove(&name);
            field.leave(left, "one file of an estate holds no more: split this one, and import the parts");
            return false;
        }
        self.probes_size += size;
        if let Some(group) = group {
            self.add_to_group(group, &name, field, left);
        }
        self.probes.push(text);
        true
    }

    fn add_to_group(&mut self, group: &str, probe: &Name, field: &Field<'_>, left: &mut Left) {
        let known = self.groups.iter().position(|(text, _)| text == group);
        match known {
            Some(at) => self.groups[at].1.push(probe.clone()),
            None if self.groups.len() < MAX_GROUPS => {
                self.groups.push((group.to_owned(), vec![probe.clone()]));
            }
            None => field.leave(left, "its group is left out: there are too many"),
        }
    }

    /// `[services]` of the groups, `[watch]` and `[probes]`.
    pub(in crate::import) fn render_probes(&self, text: &mut String) {
        let mut taken = self.watched.clone();
        for (group, members) in &self.groups {
            let name = unique(group, &mut taken);
            let members = members.iter().map(|name| format!("service:{name}")).collect::<Vec<_>>();
            let members = Value::List(members).render();
            write!(text, "\n[services.{name}]\nneeds = {{ all = {members} }}\n").expect("a text takes it");
        }
        if !self.watch.is_empty() {
            *text += "\n[watch]\n";
            self.watch.render(text);
        }
        self.probes.iter().for_each(|probe| *text += probe);
    }
}

/// What may stand in the place of a target that begins as `text` does.
fn stand_in(text: &str) -> String {
    let scheme = text.split_once("://").map_or("https", |(scheme, _)| scheme);
    let written = format!("{}://target.invalid:1", scheme.to_ascii_lowercase());
    if written.parse::<Target>().is_ok() { written } else { "https://target.invalid:1".to_owned() }
}
