//! `repertoire doctor`

use serde::Serialize;

use super::Exit;
use super::app::App;
use super::text;
use crate::error::Result;
use crate::storage::doctor::{Diagnosis, Finding};
use crate::storage::lance::LanceStorage;

pub(super) async fn doctor(app: &App) -> Result<Exit> {
    #[derive(Serialize)]
    struct Answer {
        healthy: bool,
        tenants: usize,
        workflows: usize,
        artifacts: usize,
        findings: Vec<Noticed>,
    }
    #[derive(Serialize)]
    struct Noticed {
        damage: bool,
        path: String,
        message: String,
    }
    let data = app.settings.data()?;
    let Diagnosis { tenants, workflows, artifacts, findings } =
        LanceStorage::new(data).examine().await?;
    let healthy = !findings.iter().any(|finding| finding.is_damage);
    let exit = if healthy { Exit::Done } else { Exit::Failed };
    let output = &app.output;
    if output.json {
        let noticed = |finding: Finding| Noticed {
            damage: finding.is_damage,
            path: finding.path.display().to_string(),
            message: finding.message,
        };
        let findings = findings.into_iter().map(noticed).collect();
        output.object(&Answer { healthy, tenants, workflows, artifacts, findings })?;
        return Ok(exit);
    }
    for Finding { is_damage, path, message } in &findings {
        let kind = if *is_damage { "damage" } else { "note" };
        let line = format!("{kind}: {}: {message}", path.display());
        output.print(&format!("{}\n", text::visible(&line)))?;
    }
    let verdict = if healthy { "in good order" } else { "damaged" };
    output.print(&format!(
        "{} is {verdict}: {tenants} tenants, {workflows} workflows, {artifacts} artifacts\n",
        data.display()
    ))?;
    Ok(exit)
}
