//! `repertoire export`

use std::path::Path;

use serde::Serialize;

use super::Exit;
use super::app::App;
use crate::error::Result;

pub(super) async fn export(app: &App, directory: &Path) -> Result<Exit> {
    #[derive(Serialize)]
    struct Exported {
        exported: usize,
        directory: String,
    }
    let exported = app.tenant().await?.export(directory).await?;
    let directory = directory.display().to_string();
    if app.output.json {
        app.output.object(&Exported { exported, directory })?;
    } else {
        app.output.note(&format!("{exported} workflows are in {directory}"));
    }
    Ok(Exit::Done)
}
