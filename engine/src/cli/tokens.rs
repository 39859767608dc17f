//! `repertoire token`

use serde::Serialize;

use super::Exit;
use super::app::App;
use super::args::Token as Command;
use super::text::{Align, Table};
use super::workflows::deleted;
use crate::error::{Error, Result};
use crate::id::quoted;
use crate::serve::http::tokens::{NewToken, Scope, Token, TokenFile};

pub(super) async fn dispatch(app: &App, command: Command) -> Result<Exit> {
    let file = TokenFile::of(app.settings.data()?);
    match command {
        Command::Create { scope, name, expires } => {
            let scopes = scope.iter().map(|scope| Scope::parse(scope)).collect::<Result<_>>()?;
            let tenant = app.tenant().await?;
            let (token, text) = file.create(NewToken {
                name,
                tenant: tenant.id().clone(),
                incarnation: tenant.incarnation().to_owned(),
                scopes,
                expires_in: expires,
            })?;
            created(app, &token, &text)
        }
        Command::List => list(app, &file.list()?),
        Command::Revoke { id } => {
            if !file.revoke(&id)? {
                let id = quoted(&id);
                return Err(Error::not_found(format!("there is no token {id} to revoke")));
            }
            deleted(&app.output, &id)
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    tenant: &'a str,
    scopes: Vec<&'static str>,
    name: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Only when it is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> From<&'a Token> for Shown<'a> {
    fn from(token: &'a Token) -> Self {
        Self {
            id: &token.id,
            tenant: token.tenant(),
            scopes: token.scopes.iter().map(|scope| scope.as_str()).collect(),
            name: &token.name,
            created_at: token.created_at().to_string(),
            expires_at: token.expires_at().map(|end| end.to_string()),
            token: None,
        }
    }
}

fn created(app: &App, token: &Token, text: &str) -> Result<Exit> {
    let shown = Shown { token: Some(text), ..Shown::from(token) };
    if app.output.json {
        app.output.object(&shown)?;
        return Ok(Exit::Done);
    }
    app.output.print(&format!("{text}\n"))?;
    app.output.note(&format!(
        "token {} of tenant {} for {}; it is not shown again",
        token.id,
        token.tenant(),
        shown.scopes.join(", ")
    ));
    Ok(Exit::Done)
}

fn list(app: &App, tokens: &[Token]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        tokens: Vec<Shown<'a>>,
    }
    if app.output.json {
        app.output.object(&Listing { tokens: tokens.iter().map(Into::into).collect() })?;
        return Ok(Exit::Done);
    }
    if tokens.is_empty() {
        app.output.note("there are no tokens: `repertoire token create` makes one");
        return Ok(Exit::Done);
    }
    let mut table = Table::new([
        ("TOKEN", Align::Left),
        ("TENANT", Align::Left),
        ("SCOPES", Align::Left),
        ("EXPIRES", Align::Left),
        ("NAME", Align::Left),
    ]);
    for token in tokens {
        let shown = Shown::from(token);
        table.row([
            shown.id.to_owned(),
            shown.tenant.to_owned(),
            shown.scopes.join(", "),
            shown.expires_at.unwrap_or_else(|| "-".to_owned()),
            shown.name.to_owned(),
        ]);
    }
    app.output.print_foreign(&table.render())?;
    Ok(Exit::Done)
}
