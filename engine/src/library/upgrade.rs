//! Making tables of an older format be of the newest.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use lancedb::query::{QueryBase, Select};

use super::lance::ROWS_PER_FILE;
use super::schema;
use crate::error::{Error, Result};
use crate::lance::columns::rows;
use crate::lance::{Database, Table, rows_of};

/// Format 1 had neither versions nor what they invoke: the one follows from a row's content, and
/// the other is what the names mean now. Done once more, it changes nothing.
pub(crate) async fn from_1(database: &Arc<Database>, dimensions: usize) -> Result<()> {
    let length = i32::try_from(dimensions).map_err(|error| {
        Error::invalid_argument("an embedding model has too many dimensions").with_source(error)
    })?;
    let newest = [("workflows", schema::workflows(length)), ("history", schema::history())];
    let mut tables = Vec::new();
    for (name, schema) in newest {
        let old = schema::without_versions(&schema);
        let table = Arc::new(Table::new(database, name, Arc::clone(&old), ROWS_PER_FILE));
        let columns: Vec<&str> = old.fields().iter().map(|field| field.name().as_str()).collect();
        let found =
            table.read(|query| Ok(rows_of(query.select(Select::columns(&columns))))).await?;
        tables.push((table, schema, found));
    }
    let mut names = HashMap::new();
    if let Some((_, _, live)) = tables.first() {
        for row in rows(live) {
            let (name, version, _) = schema::read_1(row)?;
            names.insert(name, version);
        }
    }
    for (table, schema, found) in tables {
        let upgraded: Vec<RecordBatch> = found
            .iter()
            .map(|batch| {
                schema::with_versions(&schema, batch, &names)?
                    .map_err(|error| table.malformed(error))
            })
            .collect::<Result<_>>()?;
        if !upgraded.is_empty() {
            table.overwrite(upgraded).await?;
        } else if table.version().await?.is_some() {
            table.overwrite(vec![RecordBatch::new_empty(schema)]).await?;
        }
    }
    Ok(())
}
