//! Front-ends for agents and their platforms: they translate, and decide nothing.

pub mod http;
pub mod mcp;
mod scope;
pub(crate) mod usage;
mod wire;

use crate::error::{Error, Result};
use crate::grants::Decision;
use crate::id::quoted;
use crate::tenant::Tenant;
use crate::workflow::Workflow;

/// A workflow, if the client may run it; else it is not there.
async fn shown(tenant: &Tenant, name: &str) -> Result<Workflow> {
    check_shown(tenant, name)?;
    tenant.workflow(name).await
}

/// Whether a client may know of a workflow of that name.
fn check_shown(tenant: &Tenant, name: &str) -> Result<()> {
    if tenant.decision("workflows", name) < Decision::Deny {
        return Ok(());
    }
    Err(Error::not_found(format!("there is no workflow {}", quoted(name))))
}
