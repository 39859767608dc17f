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
    name: String,
    value: Option<&'a Value>,
    from: Option<String>,
}

pub(super) fn show(settings: &Settings, output: &Output) -> Result<Exit> {
    if output.json {
        let settings = settings.all();
        let settings = settings
            .map(|(name, found)| {
                let (value, from) =
                    (found.map(|found| &found.0), found.map(|found| found.1.to_string()));
                Setting { name, value, from }
            })
            .collect();
        output.object(&Listing { settings })?;
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new([("SETTING", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)]);
    for (name, found) in settings.all() {
        let (value, from) = match found {
            Some((value, origin)) => (value.to_string(), origin.to_string()),
            None => ("-".to_owned(), "not set".to_owned()),
        };
        table.row([name, value, from]);
    }
    output.print(&table.render())?;
    Ok(Exit::Done)
}
