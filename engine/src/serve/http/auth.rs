//! Who asks, and whether they may.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::super::scope::Scopes;
use super::problem::Problem;
use super::state::State;
use super::tokens::{Scope, Token};
use crate::error::Code;
use crate::tenant::Tenant;

/// What a route needs of a token.
pub(super) trait Needs {
    /// The scope; `None` if any token will do.
    const SCOPE: Option<Scope>;
}

macro_rules! needs {
    ($($name:ident: $scope:expr;)*) => {
        $(pub(super) struct $name;
        impl Needs for $name {
            const SCOPE: Option<Scope> = $scope;
        })*
    };
}

needs! {
    Nothing: None;
    Read: Some(Scope::Read);
    Run: Some(Scope::Run);
    Write: Some(Scope::Write);
    Admin: Some(Scope::Admin);
}

/// A request whose token is valid, and for this. It is looked at before the body is read.
pub(super) struct Caller<N> {
    /// The token's tenant: the only one that the request can reach.
    pub(super) tenant: Tenant,
    /// What else the token is for.
    pub(super) scopes: Scopes,
    needs: PhantomData<N>,
}

/// Whose a thing is that the server keeps. A tenant that was created anew is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    tenant: String,
    incarnation: String,
}

#[cfg(test)]
impl Owner {
    pub(super) fn of(tenant: &str, incarnation: &str) -> Self {
        Self { tenant: tenant.to_owned(), incarnation: incarnation.to_owned() }
    }
}

impl<N> Caller<N> {
    pub(super) fn owner(&self) -> Owner {
        Owner {
            tenant: self.tenant.id().to_string(),
            incarnation: self.tenant.incarnation().to_owned(),
        }
    }
}

impl<N: Needs + Send> FromRequestParts<Arc<State>> for Caller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let token = token(parts, state)?;
        if let Some(scope) = N::SCOPE.filter(|scope| !token.allows(*scope)) {
            return Err(Problem::lacks_scope(scope));
        }
        let tenant = match state.engine.tenant(token.tenant()).await {
            Ok(tenant) if tenant.incarnation() == token.incarnation() => tenant,
            Ok(_) => return Err(wrong()),
            Err(error) if error.code() == Code::NotFound => return Err(wrong()),
            Err(error) => return Err(error.into()),
        };
        state.note_use(tenant.id());
        Ok(Self { tenant, scopes: Scopes(token.scopes), needs: PhantomData })
    }
}

/// The token that a request has, if it is valid.
pub(super) fn token(parts: &Parts, state: &State) -> Result<Token, Problem> {
    let mut given = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (given.next(), given.next()) else {
        let detail = "send one header `Authorization: Bearer rpt_...`; `repertoire token create` \
                      makes a token";
        return Err(Problem::unauthenticated(detail, false));
    };
    let text = header.to_str().ok().and_then(|text| text.split_once(' '));
    let bearer = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, text) = bearer.ok_or_else(wrong)?;
    state.tokens.find(text.trim())?.ok_or_else(wrong)
}

/// Whether there is no such token, or it has expired or was revoked, or its tenant deleted: nobody
/// is told which.
fn wrong() -> Problem {
    Problem::unauthenticated("the token is not valid, or not valid any more", true)
}
