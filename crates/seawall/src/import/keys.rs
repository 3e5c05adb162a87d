//! Clients and their keys.

use std::collections::BTreeSet;

use seawall_model::Name;

use super::{
    draft::{Client, Draft, unique},
    source::Source,
    tree::{Field, Left},
};

impl Draft {
    /// A client with this key. False if it does not carry over; why has been told.
    pub(super) fn client(
        &mut self,
        id: &str,
        key: &str,
        pools: &BTreeSet<Name>,
        field: &Field<'_>,
        left: &mut Left,
    ) -> bool {
        let key = match Source::of(key) {
            // The stand-in differs from every other: no key is two clients'.
            Source::Variable(variable) if self.variable(&variable, &format!("key of {variable}")) => {
                format!("env:{variable}")
            }
            Source::Variable(_) => {
                field.leave(
                    left,
                    "its variable stands for another kind of value elsewhere: use one variable for each",
                );
                return false;
            }
            Source::Mixed(_) => {
                field.leave(left, "a key comes whole from the environment: write it as `${NAME}`");
                return false;
            }
            Source::Literal(key)
                if key.starts_with("env:") || key.starts_with("file:") || key.trim().is_empty() =>
            {
                field.leave(
                    left,
                    "an estate would take it for the name of a secret: make a new key with `seawall key new`",
                );
                return false;
            }
            Source::Literal(key) => key,
        };
        // A line's end after the last line is no part of a secret.
        let same = |client: &&mut Client| {
            client.key.trim_end_matches(['\r', '\n']) == key.trim_end_matches(['\r', '\n'])
        };
        if let Some(client) = self.clients.values_mut().find(same) {
            client.pools.extend(pools.iter().cloned());
            return true;
        }
        let mut taken = self.clients.keys().cloned().collect();
        self.clients.insert(unique(id, &mut taken), Client { key, pools: pools.clone() });
        true
    }
}
