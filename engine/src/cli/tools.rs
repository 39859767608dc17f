//! `repertoire tools`

use std::sync::Arc;

use serde::Serialize;

use super::app::App;
use super::args::Tools;
use super::output::{Output, Style};
use super::{Exit, capabilities, input, run, text, wire};
use crate::capabilities::{reachable, visible_tool};
use crate::error::Result;
use crate::grants::{Granted, Target};
use crate::tools::{CallContext, ToolInfo};

pub(super) async fn dispatch(app: &App, command: Tools) -> Result<Exit> {
    if matches!(command, Tools::Schema) {
        let schema: serde_json::Value = crate::tools::spec::schema::tool_file().to()?;
        let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
        app.output.print(&format!("{text}\n"))?;
        return Ok(Exit::Done);
    }
    // No sandbox is needed for any of these, and no tool that may not be called.
    let granted = Granted::only(&app.settings.granted()?.into());
    let tools = reachable(&granted, &app.tools()?);
    let visible = |found: Vec<Arc<ToolInfo>>| -> Vec<_> {
        found.iter().filter_map(|tool| visible_tool(&granted, tool)).collect()
    };
    let tenant = app.settings.tenant()?;
    let context = CallContext { tenant, run: None, deadline: None };
    match command {
        Tools::Schema => Ok(Exit::Done),
        Tools::Check => capabilities::check(&app.output, app.tenant().await?).await,
        Tools::List => list(app, &visible(tools.list_for(&context).await)),
        Tools::Search { query, limit } => {
            let embedder = app.embedder();
            let found = tools.search(&query, usize::MAX, embedder.as_ref(), &context).await?;
            list(app, &visible(found).into_iter().take(limit).collect::<Vec<_>>())
        }
        Tools::Call { tool, arguments } => {
            let arguments = input::arguments(&arguments).await?;
            let (tool, recipe) = tool.split_once('.').unwrap_or((tool.as_str(), ""));
            // Who would be asked is who asks.
            granted.check(&Target::Tool { tool, callable: recipe })?;
            let value = tools.call(tool, recipe, &arguments, &context).await?;
            if app.output.json {
                let answer = wire::Answer { value: Some(&value), ..wire::Answer::default() };
                app.output.object(&answer)?;
            } else {
                run::show_value(&app.output, &value, true)?;
            }
            Ok(Exit::Done)
        }
    }
}

fn list(app: &App, tools: &[Arc<ToolInfo>]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        tools: Vec<wire::Tool<'a>>,
    }
    let output = &app.output;
    if output.json {
        output
            .object(&Listing { tools: tools.iter().map(|tool| tool.as_ref().into()).collect() })?;
        return Ok(Exit::Done);
    }
    if tools.is_empty() {
        output.note(
            "there are no tools; name a folder of tool files with --tools or the setting tools",
        );
    }
    for tool in tools {
        output.print(&described(output, tool))?;
    }
    Ok(Exit::Done)
}

fn described(output: &Output, tool: &ToolInfo) -> String {
    let name = output.paint(Style::Heading, tool.name.as_str());
    let mut lines = format!("{name}  {}\n", text::visible(&text::shortened(&tool.description, 90)));
    for callable in &tool.callables {
        let dot = if callable.name.is_empty() { "" } else { "." };
        // All are given by keyword; what has to be there is shown first.
        let (required, optional): (Vec<_>, Vec<_>) =
            callable.parameters.iter().partition(|parameter| parameter.required);
        let required = required.iter().map(|parameter| parameter.name.clone());
        let optional = optional.iter().map(|parameter| format!("{}=…", parameter.name));
        let parameters: Vec<String> = required.chain(optional).collect();
        let call = format!("{}{dot}{}({})", tool.name, callable.name, parameters.join(", "));
        lines.push_str(&format!("    {}\n", text::visible(&call)));
        if !callable.name.is_empty() && !callable.description.is_empty() {
            let what = text::visible(&text::shortened(&callable.description, 88));
            lines.push_str(&format!("        {}\n", output.paint(Style::Faint, &what)));
        }
    }
    lines
}
