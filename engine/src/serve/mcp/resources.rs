//! A resource for each workflow: its source.

use rmcp::ErrorData;
use rmcp::model::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceResponse, ReadResourceResult,
    Resource, ResourceContents, ResourceTemplate,
};

use super::{protocol_error, shown};
use crate::error::Result;
use crate::tenant::Tenant;

const SCHEME: &str = "workflow://";
const MEDIA_TYPE: &str = "text/x-python";

pub(super) async fn list(tenant: &Tenant) -> Result<ListResourcesResult> {
    let workflows = tenant.workflows().await?;
    let resources = workflows.iter().map(|workflow| {
        Resource::new(format!("{SCHEME}{}", workflow.name), workflow.name.to_string())
            .with_description(workflow.description.clone())
            .with_mime_type(MEDIA_TYPE)
    });
    Ok(ListResourcesResult::with_all_items(resources.collect()))
}

pub(super) fn templates() -> ListResourceTemplatesResult {
    let template = ResourceTemplate::new(format!("{SCHEME}{{name}}"), "workflow")
        .with_description("The source of a workflow")
        .with_mime_type(MEDIA_TYPE);
    ListResourceTemplatesResult::with_all_items(vec![template])
}

pub(super) async fn read(tenant: &Tenant, uri: &str) -> Result<ReadResourceResponse, ErrorData> {
    let Some(name) = uri.strip_prefix(SCHEME) else {
        let message = format!("there is no resource {uri:?}; workflows are {SCHEME}name");
        return Err(ErrorData::resource_not_found(message, None));
    };
    let workflow = shown(tenant, name).await.map_err(|error| protocol_error(&error))?;
    let contents = ResourceContents::text(workflow.source.as_ref(), uri).with_mime_type(MEDIA_TYPE);
    Ok(ReadResourceResult::new(vec![contents]).into())
}
