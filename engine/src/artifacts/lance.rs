//! The durable artifacts: one LanceDB table.

use std::sync::Arc;

use arrow_array::{LargeBinaryArray, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use lancedb::query::{QueryBase, Select};

use super::{Artifacts, Content, Metadata};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{ArtifactName, RunId};
use crate::json::Json;
use crate::lance::columns::{Row, rows, unexpected};
use crate::lance::{Database, Table, column, equal, rows_of};

const NAME: &str = "name";
const KIND: &str = "kind";
const DESCRIPTION: &str = "description";
const SIZE: &str = "size";
const DIGEST: &str = "digest";
const CREATED_AT: &str = "created_at";
const RUN: &str = "run";
const CONTENT: &str = "content";

/// What a listing reads: everything but the content.
const METADATA: [&str; 7] = [NAME, KIND, DESCRIPTION, SIZE, DIGEST, CREATED_AT, RUN];

/// They may be large, and are then copied a few times at most.
const ROWS_PER_FILE: usize = 64;

/// One tenant's artifacts, in LanceDB.
pub struct LanceArtifacts {
    table: Arc<Table>,
}

impl LanceArtifacts {
    pub(crate) fn new(database: &Arc<Database>) -> Self {
        Self { table: Arc::new(Table::new(database, "artifacts", schema(), ROWS_PER_FILE)) }
    }
}

#[async_trait]
impl Artifacts for LanceArtifacts {
    async fn save(&self, metadata: &Metadata, content: &Content) -> Result<()> {
        let row = RecordBatch::try_new(
            self.table.schema().clone(),
            vec![
                Arc::new(StringArray::from_iter_values([metadata.name.as_str()])),
                Arc::new(StringArray::from_iter_values([metadata.kind])),
                Arc::new(StringArray::from_iter_values([&metadata.description])),
                Arc::new(UInt64Array::from_iter_values([metadata.size])),
                Arc::new(StringArray::from_iter_values([&metadata.digest])),
                Arc::new(UInt64Array::from_iter_values([metadata.created_at.as_millis()])),
                Arc::new(StringArray::from_iter([metadata.run.map(|run| run.to_string())])),
                Arc::new(LargeBinaryArray::from_iter_values([content.as_bytes()])),
            ],
        )
        .map_err(|error| self.table.malformed(error))?;
        self.table.replace(NAME, row).await
    }

    async fn load(&self, name: &ArtifactName) -> Result<Option<(Metadata, Content)>> {
        let found = self
            .table
            .read(|query| Ok(rows_of(query.only_if_expr(equal(NAME, name.as_str())))))
            .await?;
        let Some(row) = rows(&found).next() else { return Ok(None) };
        let metadata = read(row)?;
        let content = content(metadata.kind, row.bytes(CONTENT)?)?;
        Ok(Some((metadata, content)))
    }

    async fn list(&self) -> Result<Vec<Metadata>> {
        let found =
            self.table.read(|query| Ok(rows_of(query.select(Select::columns(&METADATA))))).await?;
        let mut all = rows(&found).map(read).collect::<Result<Vec<_>>>()?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn delete(&self, name: &ArtifactName) -> Result<bool> {
        Ok(self.table.delete(equal(NAME, name.as_str())).await? > 0)
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        column(NAME, DataType::Utf8, true),
        column(KIND, DataType::Utf8, false),
        column(DESCRIPTION, DataType::Utf8, false),
        column(SIZE, DataType::UInt64, false),
        column(DIGEST, DataType::Utf8, false),
        column(CREATED_AT, DataType::UInt64, false),
        Field::new(RUN, DataType::Utf8, true),
        column(CONTENT, DataType::LargeBinary, false),
    ]))
}

fn read(row: Row<'_>) -> Result<Metadata> {
    let kind = row.text(KIND)?;
    Ok(Metadata {
        name: ArtifactName::new(row.text(NAME)?)?,
        kind: ["json", "text", "binary"]
            .into_iter()
            .find(|known| *known == kind)
            .ok_or_else(|| unexpected(KIND, "json, text or binary"))?,
        description: row.text(DESCRIPTION)?.to_owned(),
        size: row.number(SIZE)?,
        digest: row.text(DIGEST)?.to_owned(),
        created_at: Timestamp::from_millis(row.number(CREATED_AT)?),
        run: row.optional_text(RUN)?.map(RunId::parse).transpose()?,
    })
}

fn content(kind: &str, bytes: &[u8]) -> Result<Content> {
    if kind == "binary" {
        return Ok(Content::Binary(bytes.into()));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| unexpected(CONTENT, "UTF-8").with_source(error))?;
    if kind == "json" {
        let json = Json::parse(text);
        return json
            .map(Content::Json)
            .map_err(|error| unexpected(CONTENT, "JSON").with_source(error));
    }
    Ok(Content::Text(text.into()))
}
