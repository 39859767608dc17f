//! The capabilities of an instance that has none: what analysis and replays run with.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::workflows::Workflows;
use crate::artifacts::{Artifacts, Metadata};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::ArtifactName;
use crate::json::Json;
use crate::sandbox::RunContext;
use crate::tools::{CallContext, Registry, ToolInfo};
use crate::workflow::{Deletion, Hit, Version, Workflow};

/// Refuses everything. A source is only parsed by analysis, never run; should
/// it get the better of the parser, it finds nothing within reach. A replay is
/// answered by its tape before anybody is asked.
pub(crate) struct Denied;

fn denied<T>() -> Result<T> {
    Err(Error::new(Code::Denied, "analysis has no access to tools, workflows or artifacts"))
}

#[async_trait]
impl Workflows for Denied {
    async fn create(&self, _: &RunContext, _: &str, _: &str, _: &str) -> Result<Workflow> {
        denied()
    }

    async fn get(&self, _: &str) -> Result<Option<Workflow>> {
        denied()
    }

    async fn list(&self, _: &RunContext) -> Result<Vec<Workflow>> {
        denied()
    }

    async fn search(&self, _: &RunContext, _: &str, _: u32) -> Result<Vec<Hit>> {
        denied()
    }

    async fn delete(&self, _: &str, _: bool) -> Result<Deletion> {
        denied()
    }

    async fn history(&self, _: &str) -> Result<Vec<Version>> {
        denied()
    }

    async fn restore(&self, _: &str, _: &str) -> Result<Workflow> {
        denied()
    }

    async fn invoke(&self, _: &RunContext, _: &str, _: Json, _: u64, _: bool) -> Result<Json> {
        denied()
    }

    async fn search_tools(
        &self,
        _: &Registry,
        _: &str,
        _: u32,
        _: &CallContext,
    ) -> Result<Vec<Arc<ToolInfo>>> {
        denied()
    }
}

#[async_trait]
impl Artifacts for Denied {
    async fn insert(&self, _: &Metadata, _: Option<Bytes>) -> Result<bool> {
        denied()
    }

    async fn write(&self, _: u64, _: u64, _: Vec<Bytes>, _: Timestamp) -> Result<()> {
        denied()
    }

    async fn read(&self, _: &Metadata, _: u64) -> Result<Option<Bytes>> {
        denied()
    }

    async fn versions(&self, _: Option<&ArtifactName>) -> Result<Vec<Metadata>> {
        denied()
    }

    async fn remove(&self, _: &[Metadata]) -> Result<u64> {
        denied()
    }

    async fn remove_strays(&self, _: &HashSet<u64>, _: Timestamp) -> Result<()> {
        denied()
    }

    async fn disk(&self, _: u64) -> Result<u64> {
        denied()
    }
}
