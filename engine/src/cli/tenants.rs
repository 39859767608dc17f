//! `repertoire tenants`

use serde::Serialize;

use super::Exit;
use super::app::App;
use super::args::Tenants;
use super::workflows::deleted;
use crate::error::{Error, Result};
use crate::id::TenantId;
use crate::serve::http::tokens::TokenFile;

pub(super) async fn dispatch(app: &App, command: Tenants) -> Result<Exit> {
    match command {
        Tenants::List => list(app).await,
        Tenants::Create { name } => create(app, &name).await,
        Tenants::Delete { name } => {
            let id = TenantId::new(&name)?;
            // They would let nobody in any more, and are not to be listed either.
            TokenFile::of(app.settings.data()?).revoke_all_of(&id)?;
            if !app.engine().await?.delete_tenant(&id).await? {
                return Err(Error::not_found(format!("there is no tenant {id} to delete")));
            }
            deleted(&app.output, &name)
        }
    }
}

async fn list(app: &App) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        tenants: Vec<&'a str>,
    }
    let tenants = app.engine().await?.tenants().await?;
    let tenants: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
    if app.output.json {
        app.output.object(&Listing { tenants })?;
        return Ok(Exit::Done);
    }
    for tenant in tenants {
        app.output.print(&format!("{tenant}\n"))?;
    }
    Ok(Exit::Done)
}

async fn create(app: &App, name: &str) -> Result<Exit> {
    #[derive(Serialize)]
    struct Created<'a> {
        created: &'a str,
    }
    app.engine().await?.create_tenant(name).await?;
    if app.output.json {
        app.output.object(&Created { created: name })?;
    } else {
        app.output.note(&format!("created {name}"));
    }
    Ok(Exit::Done)
}
