//! Everything wrong with an estate, told at once.

use super::{Code, Place, Severity, suggest::nearest};

/// One thing that is wrong. Holds no secret: messages name keys and forms, never a secret's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing.
    pub code: Code,
    /// Where; `None` for what is about the estate as a whole.
    pub place: Option<Place>,
    /// What is wrong with this very thing.
    pub message: String,
    /// What to do about it, where there is more to say than the code's own cure.
    pub help: Option<String>,
    /// Another place that belongs to it, and what stands there.
    pub other: Option<(Place, String)>,
}

impl Problem {
    /// A problem at `place`.
    pub fn new(code: Code, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { code, place: place.into(), message: message.into(), help: None, other: None }
    }

    /// With what to do about it.
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// With another place that belongs to it.
    pub fn other(self, place: Place, what: impl Into<String>) -> Self {
        Self { other: Some((place, what.into())), ..self }
    }

    /// What to do: the particular advice, or else the code's.
    pub fn cure(&self) -> &str {
        self.help.as_deref().unwrap_or(self.code.cure())
    }
}

/// Takes problems in as they are found.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    errors: usize,
    warnings: usize,
    hidden: Vec<Place>,
    torn: bool,
}

impl Problems {
    /// Most errors kept, and most warnings; those beyond are counted only.
    pub const KEPT: usize = 100;

    /// Most characters of a text that a message quotes.
    pub const QUOTED: usize = 64;

    /// Takes a problem in. After [`Problems::tear`] those that may only follow from it are left out.
    pub fn report(&mut self, problem: Problem) {
        if self.torn && problem.code.needs_whole_text() {
            return;
        }
        let count = match problem.code.severity() {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= Self::KEPT {
            self.found.push(problem);
        }
    }

    /// Takes a problem in about `text`, which is none of `known`. Where one of these is like it, "did you
    /// mean" stands in place of the problem's help. Looks for one only if the problem is going to be kept.
    pub fn report_unlike<T: AsRef<str>>(
        &mut self,
        problem: Problem,
        text: &str,
        known: impl IntoIterator<Item = T>,
    ) {
        let near = if self.errors < Self::KEPT { nearest(text, known) } else { None };
        self.report(match near {
            Some(near) => problem.help(format!("did you mean `{}`?", near.as_ref())),
            None => problem,
        });
    }

    /// Notes that part of the text could not be read, so that nothing is called missing or unknown for it.
    pub fn tear(&mut self) {
        self.torn = true;
    }

    /// Notes that a secret stands at `place`, which must not be shown.
    pub fn hide(&mut self, place: Place) {
        self.hidden.push(place);
    }

    /// The text that stands at `place` as a message may quote it: shortened, nothing a terminal would obey,
    /// and if it may be a secret in the wrong field, hidden.
    pub fn quote(&mut self, text: &str, place: Place) -> String {
        if may_be_secret(text) {
            self.hide(place);
            return "`(hidden)`".to_owned();
        }
        let shown: String = text.chars().take(Self::QUOTED).flat_map(char::escape_debug).collect();
        format!("`{shown}`")
    }

    /// How many errors there are, those not kept included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there are, those not kept included.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// Places that must not be shown.
    pub fn hidden(&self) -> &[Place] {
        &self.hidden
    }

    /// The problems kept, in the order of files and places; those without a place first.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut all: Vec<_> = self.found.iter().collect();
        all.sort_by_key(|p| (p.place, p.code));
        all
    }
}

/// True for a URL, what holds a password, and what is as long and as full of digits as keys are.
fn may_be_secret(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.contains("://") || text.contains('@') || (text.len() >= 16 && digits >= 6 && !is_variable(text))
}

/// The name of a variable in the environment, of words and short numbers: no key mixes its letters and digits so little.
fn is_variable(text: &str) -> bool {
    let is_word = |part: &str| part.bytes().all(|b| b.is_ascii_uppercase());
    let is_number = |part: &str| part.len() <= 8 && part.bytes().all(|b| b.is_ascii_digit());
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.contains('_')
        && text.split('_').all(|part| is_word(part) || is_number(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_and_names_of_variables_are_not() {
        for secret in ["https://x", "a:b@c", "abcdef0123456789", "SK_4F9A81C27719D00E5B", "12345678_87654321"]
        {
            assert!(may_be_secret(secret), "{secret}");
        }
        for plain in ["short123456", "RPC_URL", "SEAWALL_MAIN_42161_INFURA_EXAMPLE_1_URL"] {
            assert!(!may_be_secret(plain), "{plain}");
        }
    }
}
