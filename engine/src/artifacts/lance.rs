//! The durable artifacts: a LanceDB table of versions, and one of the pieces
//! of those that are large.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{LargeBinaryArray, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use lancedb::expr::{col, is_in, lit};
use lancedb::query::{QueryBase, Select};
use sha2::{Digest, Sha256};

use super::shelf::hex;
use super::{Artifacts, Metadata, kind};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{ArtifactName, RunId};
use crate::lance::columns::{Row, rows, unexpected};
use crate::lance::{Database, Table, column, equal, rows_of};

/// Name and version, joined by a character that no name has.
const KEY: &str = "key";
pub(super) const NAME: &str = "name";
const VERSION: &str = "version";
pub(super) const KIND: &str = "kind";
const MEDIA_TYPE: &str = "media_type";
pub(super) const DESCRIPTION: &str = "description";
pub(super) const SIZE: &str = "size";
pub(super) const DIGEST: &str = "digest";
pub(super) const CREATED_AT: &str = "created_at";
const EXPIRES_AT: &str = "expires_at";
pub(super) const RUN: &str = "run";
const PIECES: &str = "pieces";
pub(super) const CONTENT: &str = "content";
const NUMBER: &str = "number";
const WRITTEN_AT: &str = "written_at";

/// What a listing reads: everything but the content.
const METADATA: [&str; 11] = [
    NAME,
    VERSION,
    KIND,
    MEDIA_TYPE,
    DESCRIPTION,
    SIZE,
    DIGEST,
    CREATED_AT,
    EXPIRES_AT,
    RUN,
    PIECES,
];

/// They may have a MiB each, and are copied a few times at most.
pub(super) const VERSIONS_PER_FILE: usize = 64;
const PIECES_PER_FILE: usize = 16;

/// One tenant's artifacts, in LanceDB.
pub struct LanceArtifacts {
    versions: Arc<Table>,
    pieces: Arc<Table>,
}

impl LanceArtifacts {
    pub(crate) fn new(database: &Arc<Database>) -> Self {
        let table = |name, schema, rows| Arc::new(Table::new(database, name, schema, rows));
        Self {
            versions: table("artifact_versions", versions(), VERSIONS_PER_FILE),
            pieces: table("artifact_pieces", pieces(), PIECES_PER_FILE),
        }
    }

    /// Makes both tables be there, with nothing in them.
    pub(super) async fn empty(&self) -> Result<()> {
        for table in [&self.versions, &self.pieces] {
            table.overwrite(vec![RecordBatch::new_empty(table.schema().clone())]).await?;
        }
        Ok(())
    }

    /// Adds versions of which it is known that they are not there.
    pub(super) async fn add(&self, versions: &[(Metadata, Option<Bytes>)]) -> Result<()> {
        self.versions.add(self.version_rows(versions)?).await
    }

    /// Whether a version's content is what was saved, all of it.
    pub(crate) async fn is_intact(&self, of: &Metadata) -> Result<bool> {
        let (mut digest, mut size, mut number) = (Sha256::new(), 0, 0);
        while let Some(piece) = self.read(of, number).await? {
            digest.update(&piece);
            size += piece.len() as u64;
            number += 1;
            if of.pieces.is_none() || size >= of.size {
                break;
            }
        }
        Ok(size == of.size && hex(&digest.finalize()) == of.digest)
    }

    fn version_rows(&self, versions: &[(Metadata, Option<Bytes>)]) -> Result<RecordBatch> {
        let each = || versions.iter().map(|(metadata, _)| metadata);
        let text = |value: fn(&Metadata) -> &str| {
            Arc::new(StringArray::from_iter_values(each().map(value)))
        };
        let millis = |time: Timestamp| time.as_millis();
        RecordBatch::try_new(
            self.versions.schema().clone(),
            vec![
                Arc::new(StringArray::from_iter_values(each().map(key))),
                text(|m| m.name.as_str()),
                Arc::new(UInt64Array::from_iter_values(each().map(|m| m.version))),
                text(|m| m.kind),
                text(|m| &m.media_type),
                text(|m| &m.description),
                Arc::new(UInt64Array::from_iter_values(each().map(|m| m.size))),
                text(|m| &m.digest),
                Arc::new(UInt64Array::from_iter_values(each().map(|m| millis(m.created_at)))),
                Arc::new(UInt64Array::from_iter(each().map(|m| m.expires_at.map(millis)))),
                Arc::new(StringArray::from_iter(each().map(|m| m.run.map(|run| run.to_string())))),
                Arc::new(UInt64Array::from_iter(each().map(|m| m.pieces))),
                Arc::new(LargeBinaryArray::from_iter(
                    versions.iter().map(|(_, whole)| whole.as_deref()),
                )),
            ],
        )
        .map_err(|error| self.versions.malformed(error))
    }
}

#[async_trait]
impl Artifacts for LanceArtifacts {
    async fn insert(&self, metadata: &Metadata, whole: Option<Bytes>) -> Result<bool> {
        let row = self.version_rows(&[(metadata.clone(), whole)])?;
        // Whoever races for the version, in this process or another: the merge
        // looks again before it commits, and inserts nothing if it lost.
        Ok(self.versions.insert(KEY, vec![row]).await? > 0)
    }

    async fn write(
        &self,
        pieces: u64,
        first: u64,
        content: Vec<Bytes>,
        at: Timestamp,
    ) -> Result<()> {
        let count = content.len();
        let numbers = || (first..).take(count);
        let row = RecordBatch::try_new(
            self.pieces.schema().clone(),
            vec![
                Arc::new(UInt64Array::from_iter_values(numbers().map(|_| pieces))),
                Arc::new(UInt64Array::from_iter_values(numbers())),
                Arc::new(UInt64Array::from_iter_values(numbers().map(|_| at.as_millis()))),
                Arc::new(LargeBinaryArray::from_iter_values(&content)),
            ],
        );
        self.pieces.add(row.map_err(|error| self.pieces.malformed(error))?).await
    }

    async fn read(&self, metadata: &Metadata, piece: u64) -> Result<Option<Bytes>> {
        let (table, matching) = match metadata.pieces {
            Some(pieces) => (&self.pieces, equal(PIECES, pieces).and(equal(NUMBER, piece))),
            None => (&self.versions, equal(KEY, key(metadata))),
        };
        let found = table
            .read(|query| {
                let query = query.only_if_expr(matching);
                Ok(rows_of(query.select(Select::columns(&[CONTENT]))))
            })
            .await?;
        rows(&found).next().map(|row| row.bytes(CONTENT).map(Bytes::copy_from_slice)).transpose()
    }

    async fn versions(&self, name: Option<&ArtifactName>) -> Result<Vec<Metadata>> {
        let found = self.versions.read(|query| {
            let query = query.select(Select::columns(&METADATA));
            Ok(rows_of(match name {
                Some(name) => query.only_if_expr(equal(NAME, name.as_str())),
                None => query,
            }))
        });
        rows(&found.await?).map(read).collect()
    }

    async fn remove(&self, doomed: &[Metadata]) -> Result<u64> {
        let keys = doomed.iter().filter(|found| found.version > 0).map(|found| lit(key(found)));
        let keys: Vec<_> = keys.collect();
        let removed = match keys.is_empty() {
            true => 0,
            false => self.versions.delete(is_in(col(KEY), keys)).await?,
        };
        // After their rows, so that whatever has a row has its pieces.
        let pieces: Vec<_> = doomed.iter().filter_map(|found| found.pieces.map(lit)).collect();
        if !pieces.is_empty() {
            self.pieces.delete(is_in(col(PIECES), pieces)).await?;
        }
        Ok(removed)
    }

    async fn remove_strays(&self, kept: &HashSet<u64>, before: Timestamp) -> Result<()> {
        let old = col(WRITTEN_AT).lt(lit(before.as_millis()));
        let found = self
            .pieces
            .read(|query| Ok(rows_of(query.only_if_expr(old).select(Select::columns(&[PIECES])))))
            .await?;
        let found = rows(&found).map(|row| row.number(PIECES)).collect::<Result<HashSet<_>>>()?;
        let strays: Vec<_> = found.difference(kept).map(|id| lit(*id)).collect();
        if !strays.is_empty() {
            self.pieces.delete(is_in(col(PIECES), strays)).await?;
        }
        Ok(())
    }

    async fn disk(&self, most: u64) -> Result<u64> {
        let found = self.versions.disk().await? + self.pieces.disk().await?;
        if found <= most {
            return Ok(found);
        }
        self.versions.tidy_now().await;
        self.pieces.tidy_now().await;
        Ok(self.versions.disk().await? + self.pieces.disk().await?)
    }
}

fn key(metadata: &Metadata) -> String {
    format!("{}@{}", metadata.name, metadata.version)
}

fn versions() -> SchemaRef {
    Arc::new(Schema::new(vec![
        column(KEY, DataType::Utf8, true),
        column(NAME, DataType::Utf8, false),
        column(VERSION, DataType::UInt64, false),
        column(KIND, DataType::Utf8, false),
        column(MEDIA_TYPE, DataType::Utf8, false),
        column(DESCRIPTION, DataType::Utf8, false),
        column(SIZE, DataType::UInt64, false),
        column(DIGEST, DataType::Utf8, false),
        column(CREATED_AT, DataType::UInt64, false),
        Field::new(EXPIRES_AT, DataType::UInt64, true),
        Field::new(RUN, DataType::Utf8, true),
        Field::new(PIECES, DataType::UInt64, true),
        Field::new(CONTENT, DataType::LargeBinary, true),
    ]))
}

fn pieces() -> SchemaRef {
    Arc::new(Schema::new(vec![
        column(PIECES, DataType::UInt64, false),
        column(NUMBER, DataType::UInt64, false),
        column(WRITTEN_AT, DataType::UInt64, false),
        column(CONTENT, DataType::LargeBinary, false),
    ]))
}

fn read(row: Row<'_>) -> Result<Metadata> {
    Ok(Metadata {
        name: ArtifactName::new(row.text(NAME)?)?,
        version: row.number(VERSION)?,
        kind: kind_of(&row)?,
        media_type: row.text(MEDIA_TYPE)?.to_owned(),
        description: row.text(DESCRIPTION)?.to_owned(),
        size: row.number(SIZE)?,
        digest: row.text(DIGEST)?.to_owned(),
        created_at: Timestamp::from_millis(row.number(CREATED_AT)?),
        expires_at: row.optional_number(EXPIRES_AT)?.map(Timestamp::from_millis),
        run: row.optional_text(RUN)?.map(RunId::parse).transpose()?,
        pieces: row.optional_number(PIECES)?,
    })
}

/// Which kind of artifact a row holds.
pub(super) fn kind_of(row: &Row<'_>) -> Result<&'static str> {
    kind(row.text(KIND)?).ok_or_else(|| unexpected(KIND, "json, text or binary"))
}
