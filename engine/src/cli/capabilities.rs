//! `repertoire workflows capabilities`, `repertoire tools check`

use std::collections::BTreeSet;

use serde::Serialize;

use super::Exit;
use super::output::{Output, Style};
use super::text::{Align, Table};
use crate::Tenant;
use crate::capabilities::{Broken, Manifest, Named};
use crate::error::Result;

/// One name of a manifest.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    /// `allow`, `ask` or `deny`; of computed names nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    named_by: &'a BTreeSet<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    workflow: &'a str,
    tools: Vec<Entry<'a>>,
    workflows: Vec<Entry<'a>>,
    artifacts: Vec<Entry<'a>>,
    computed: Vec<Entry<'a>>,
    missing: &'a BTreeSet<String>,
}

pub(super) async fn show(output: &Output, tenant: &Tenant, name: &str) -> Result<Exit> {
    let manifest = tenant.capabilities(name).await?;
    let shown = shown(tenant, &manifest);
    if output.json {
        output.object(&shown)?;
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new([("REACHES", Align::Left), ("GRANT", Align::Left), ("NAMED BY", Align::Left)]);
    let lists = [
        ("tools.", &shown.tools),
        ("workflows.", &shown.workflows),
        ("artifacts.", &shown.artifacts),
    ];
    let mut count = 0;
    for (prefix, entries) in lists {
        for entry in entries {
            let is_missing = prefix == "workflows." && shown.missing.contains(entry.name);
            let note = if is_missing { " (not there)" } else { "" };
            let by: Vec<_> = entry.named_by.iter().map(String::as_str).collect();
            table.row([
                format!("{prefix}{}{note}", entry.name),
                entry.grant.clone().unwrap_or_else(|| "-".to_owned()),
                by.join(", "),
            ]);
            count += 1;
        }
    }
    if count > 0 {
        output.print_foreign(&table.render())?;
    } else {
        output.note(&format!("{name} names no tool, workflow or artifact"));
    }
    for entry in &shown.computed {
        let by: Vec<_> = entry.named_by.iter().map(String::as_str).collect();
        output.print_foreign(&format!(
            "also {} by computed names ({})\n",
            entry.name,
            by.join(", ")
        ))?;
    }
    Ok(Exit::Done)
}

fn shown<'a>(tenant: &Tenant, manifest: &'a Manifest) -> Shown<'a> {
    let entries = |named: &'a Named, root: Option<&str>| {
        let entry = |(name, by): (&'a String, &'a BTreeSet<String>)| Entry {
            name,
            grant: root.map(|root| tenant.decision(root, name).to_string()),
            named_by: by,
        };
        named.iter().map(entry).collect()
    };
    Shown {
        workflow: &manifest.workflow,
        tools: entries(&manifest.tools, Some("tools")),
        workflows: entries(&manifest.workflows, Some("workflows")),
        artifacts: entries(&manifest.artifacts, Some("artifacts")),
        computed: entries(&manifest.computed, None),
        missing: &manifest.missing,
    }
}

#[derive(Serialize)]
struct Missing<'a> {
    name: &'a str,
    named_by: &'a BTreeSet<String>,
    invoked_by: &'a BTreeSet<String>,
}

pub(super) async fn check(output: &Output, tenant: &Tenant) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        missing: Vec<Missing<'a>>,
    }
    let broken = tenant.broken().await?;
    let exit = if broken.is_empty() { Exit::Done } else { Exit::Failed };
    if output.json {
        let missing = broken
            .iter()
            .map(|found| Missing {
                name: &found.name,
                named_by: &found.by,
                invoked_by: &found.through,
            })
            .collect();
        output.object(&Listing { missing })?;
        return Ok(exit);
    }
    for Broken { name, by, through } in &broken {
        let list = |names: &BTreeSet<String>| {
            names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        let invoked = match through.is_empty() {
            true => String::new(),
            false => format!("; and what invokes them: {}", list(through)),
        };
        let name = output.paint(Style::Heading, name);
        output.print(&format!(
            "{name} is not there; workflows that name it: {}{invoked}\n",
            list(by)
        ))?;
    }
    for tool in tenant.tools_now().await.iter().filter(|tool| tool.callables.is_empty()) {
        output.note(&format!("tool {} was not looked into: {}", tool.name, tool.description));
    }
    if broken.is_empty() {
        output.note("every tool and workflow that is named is there");
    }
    Ok(exit)
}
