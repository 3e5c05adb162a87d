//! Who a client is, and what it may do.
//!
//! Pools that ask for nothing pay nothing: what is here begins only where the estate says so.

mod cors;
mod grant;
pub(crate) mod key;
pub(crate) mod metrics;
mod refusal;
pub(crate) mod token;

use std::{collections::BTreeMap, sync::Arc};

use http::Request;
use seawall_model::Wall;

pub(crate) use grant::{Grant, permit};
pub(crate) use refusal::{Denials, Denied};

use crate::{
    core::{claims::Bearer, credential},
    estate::{AuthSection, PoolSection},
    serve::Client,
};
use key::{Keys, Shown};
use token::Verifier;

/// Who a client is, and what shows it.
#[derive(Clone)]
pub(crate) struct Identity {
    /// What the estate calls it; if it does not, what its token or certificate does.
    pub(crate) name: Arc<str>,
    /// What showed it.
    #[expect(dead_code, reason = "the access log tells it")]
    pub(crate) proof: Proof,
    /// What the estate grants it by name.
    pub(crate) grant: Option<Arc<Grant>>,
}

/// What a client showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Key,
    Token,
    Certificate,
}

/// The clients that the estate knows, swapped whole on a reload.
#[derive(Default)]
pub(crate) struct Access {
    grants: Vec<Arc<Grant>>,
    by_key: Keys<Arc<Grant>>,
    by_subject: BTreeMap<String, Arc<Grant>>,
    by_certificate: BTreeMap<String, Arc<Grant>>,
    token: Option<Arc<Verifier>>,
}

impl Access {
    /// The clients of the estate; what `before` has counted of them goes on.
    pub(crate) fn new(section: &AuthSection, before: &Self) -> Self {
        let old = |name: &str| before.grants.iter().find(|grant| grant.section.name.as_str() == name);
        let grants: Vec<_> = section
            .clients
            .iter()
            .map(|client| Arc::new(Grant::new(client.clone(), old(client.name.as_str()).map(|g| &**g))))
            .collect();
        let named = |of: fn(&Grant) -> &[String]| {
            let each = grants.iter().flat_map(|g| of(g).iter().map(|name| (name.clone(), g.clone())));
            each.collect::<BTreeMap<_, _>>()
        };
        Self {
            by_key: Keys::new(grants.iter().flat_map(|g| g.section.hashes.iter().map(|h| (*h, g.clone())))),
            by_subject: named(|g| &g.section.subjects),
            by_certificate: named(|g| &g.section.certificates),
            // Whether it can be made was asked when the estate was judged.
            token: section.token.as_ref().and_then(|token| Verifier::new(token).ok()).map(Arc::new),
            grants,
        }
    }

    /// Clients that the estate knows by name.
    pub(crate) fn grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.iter()
    }

    /// Who sends this request to that pool. What shows it is taken out of the request; `None` if nothing does, and
    /// nothing has to.
    pub(crate) fn identify<B>(
        &self,
        pool: &PoolSection,
        client: &Client,
        request: &mut Request<B>,
        in_path: Option<&str>,
        now: Wall,
    ) -> Result<Option<Identity>, Denied> {
        let asked = pool.access.require;
        let shown = if asked.key || asked.token { shown(pool, request, in_path, asked.key) } else { None };
        let identity = match (shown, &client.certificate) {
            (Some(shown), _) => self.by_credential(pool, client, &shown, now)?,
            // It has been checked already; where nothing is asked, it costs nothing to know who comes.
            (None, Some(name)) if asked.certificate || asked.is_none() => {
                let grant = self.by_certificate.get(&**name).cloned();
                Identity { name: known_as(grant.as_ref(), name), proof: Proof::Certificate, grant }
            }
            (None, _) if asked.is_none() => return Ok(None),
            (None, _) => return Err(Denied::NothingShown),
        };
        match &identity.grant {
            Some(grant) if !asked.is_none() && !grant.is_good_for(&pool.name) => Err(Denied::OtherPool),
            Some(_) | None => Ok(Some(identity)),
        }
    }

    fn by_credential(
        &self,
        pool: &PoolSection,
        client: &Client,
        shown: &Shown,
        now: Wall,
    ) -> Result<Identity, Denied> {
        let asked = pool.access.require;
        if asked.key
            && let Some(grant) = self.by_key.find(shown.text.as_bytes())
        {
            let name = grant.section.name.as_str().into();
            return Ok(Identity { name, proof: Proof::Key, grant: Some(grant.clone()) });
        }
        let Some(verifier) = self.token.as_ref().filter(|_| asked.token && shown.is_bearer) else {
            return Err(Denied::UnknownKey);
        };
        let last = client.token.load();
        let bearer = match last.as_ref().filter(|last| last.stands_for(verifier, &shown.text, now)) {
            Some(last) => last.bearer.clone(),
            None => {
                let bearer = verifier.verify(&shown.text, now).map_err(Denied::Token)?;
                let hash = key::hash(shown.text.as_bytes());
                let last = Remembered { hash, by: verifier.clone(), bearer: bearer.clone() };
                client.token.store(Some(Arc::new(last)));
                bearer
            }
        };
        let grant = self.by_subject.get(&bearer.name).cloned();
        Ok(Identity { name: known_as(grant.as_ref(), &bearer.name), proof: Proof::Token, grant })
    }
}

fn known_as(grant: Option<&Arc<Grant>>, otherwise: &str) -> Arc<str> {
    grant.map_or(otherwise, |grant| grant.section.name.as_str()).into()
}

/// What a request shows: in its headers, else, to a chain's pool, behind the path or in the query, as providers
/// have it.
fn shown<B>(
    pool: &PoolSection,
    request: &mut Request<B>,
    in_path: Option<&str>,
    keys: bool,
) -> Option<Shown> {
    let in_headers = key::take(request.headers_mut());
    let elsewhere = || in_path.or_else(|| credential::in_query(request.uri().query()?));
    let of = |text: &str| Shown { text: text.to_owned(), is_bearer: false };
    in_headers.or_else(|| if keys && pool.kind.is_chain() { elsewhere().map(of) } else { None })
}

/// A token that was verified on a connection: its client shows it with every request, and checking a signature
/// costs more than the rest of the request together.
pub(crate) struct Remembered {
    hash: [u8; 32],
    /// What verified it: after a reload another may think otherwise.
    by: Arc<Verifier>,
    bearer: Bearer,
}

impl Remembered {
    fn stands_for(&self, by: &Arc<Verifier>, token: &str, now: Wall) -> bool {
        Arc::ptr_eq(&self.by, by) && self.bearer.until > now && self.hash == key::hash(token.as_bytes())
    }
}
