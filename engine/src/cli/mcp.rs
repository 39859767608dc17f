//! `repertoire mcp`

use super::Exit;
use super::app::App;
use super::args::Mcp;
use crate::error::Result;
use crate::serve::mcp::Server;

pub(super) async fn mcp(app: &App, given: Mcp) -> Result<Exit> {
    let tenant = app.tenant().await?.clone();
    for name in &given.expose {
        tenant.workflow(name).await?; // Said now, rather than when the agent lists its tools.
    }
    Box::pin(Server::new(tenant, given.expose).serve_stdio()).await?;
    Ok(Exit::Done)
}
