//! `repertoire config`

use serde::Serialize;

use super::Exit;
use super::output::Output;
use super::settings::{Settings, Value};
use super::text::{Align, Table};
use crate::error::Result;

#[derive(Serialize)]
struct Listing<'a> {
    settings: Vec<Setting<'a>>,
}

#[derive(Serialize)]
struct Setting<'a> {
    name: &'a str,
    value: Option<&'a Value>,
    from: String,
}

pub(super) fn show(settings: &Settings, output: &Output) -> Result<Exit> {
    if output.json {
        let settings = settings.all();
        let settings = settings
            .map(|(name, value, origin)| Setting { name, value, from: origin.to_string() })
            .collect();
        output.object(&Listing { settings })?;
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new([("SETTING", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)]);
    for (name, value, origin) in settings.all() {
        let value = value.map_or_else(|| "-".to_owned(), ToString::to_string);
        table.row([name.to_owned(), value, origin.to_string()]);
    }
    output.print(&table.render())?;
    Ok(Exit::Done)
}
