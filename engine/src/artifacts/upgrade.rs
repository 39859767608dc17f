//! Making the artifacts of an older format be of the newest.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use lancedb::expr::{col, is_in, lit};
use lancedb::query::{QueryBase, Select};

use super::lance::{
    CONTENT, CREATED_AT, DESCRIPTION, DIGEST, KIND, LanceArtifacts, NAME, RUN, SIZE,
    VERSIONS_PER_FILE, kind_of,
};
use super::{Artifacts, Metadata, PIECE, usual_media_type};
use crate::clock::{Entropy, SystemEntropy, Timestamp};
use crate::error::Result;
use crate::id::{ArtifactName, RunId};
use crate::lance::columns::{Row, rows};
use crate::lance::{Database, Table, column, rows_of};

/// The table that artifacts had until there were versions of them.
pub(crate) const TABLE: &str = "artifacts";

/// What is held in memory and written in one commit.
const GROUP_BYTES: u64 = 8 << 20;
const GROUP_ROWS: usize = 256;

/// Formats 1 and 2 had one content a name: it becomes version 1. Interrupted, it is done again
/// from the beginning.
pub(crate) async fn from_2(database: &Arc<Database>) -> Result<()> {
    let before = Arc::new(Table::new(database, TABLE, schema(), VERSIONS_PER_FILE));
    if before.version().await?.is_none() {
        return Ok(());
    }
    let artifacts = LanceArtifacts::new(database);
    artifacts.empty().await?;
    let known =
        before.read(|query| Ok(rows_of(query.select(Select::columns(&[NAME, SIZE]))))).await?;
    let known: Vec<(String, u64)> = rows(&known)
        .map(|row| Ok((row.text(NAME)?.to_owned(), row.number(SIZE)?)))
        .collect::<Result<_>>()?;
    for group in groups(known) {
        let names = is_in(col(NAME), group.into_iter().map(lit).collect());
        let found = before.read(|query| Ok(rows_of(query.only_if_expr(names)))).await?;
        let found: Vec<_> = rows(&found).map(read).collect::<Result<_>>()?;
        add(&artifacts, found).await?;
    }
    Ok(())
}

/// Names of which not too much is read at once.
fn groups(known: Vec<(String, u64)>) -> Vec<Vec<String>> {
    let (mut groups, mut bytes) = (Vec::<Vec<String>>::new(), 0);
    for (name, size) in known {
        match groups.last_mut() {
            Some(group) if group.len() < GROUP_ROWS && bytes + size <= GROUP_BYTES => {
                group.push(name);
                bytes += size;
            }
            _ => {
                groups.push(vec![name]);
                bytes = size;
            }
        }
    }
    groups
}

async fn add(artifacts: &LanceArtifacts, found: Vec<(Metadata, Bytes)>) -> Result<()> {
    let mut versions = Vec::new();
    for (mut metadata, content) in found {
        let mut whole = Some(content.clone());
        if content.len() > PIECE {
            let id = SystemEntropy.next_u64();
            let pieces = (0..content.len())
                .step_by(PIECE)
                .map(|at| content.slice(at..content.len().min(at + PIECE)));
            artifacts.write(id, 0, pieces.collect(), metadata.created_at).await?;
            metadata.pieces = Some(id);
            whole = None;
        }
        versions.push((metadata, whole));
    }
    artifacts.add(&versions).await
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

fn read(row: Row<'_>) -> Result<(Metadata, Bytes)> {
    let kind = kind_of(&row)?;
    let metadata = Metadata {
        name: ArtifactName::new(row.text(NAME)?)?,
        version: 1,
        kind,
        media_type: usual_media_type(kind).to_owned(),
        description: row.text(DESCRIPTION)?.to_owned(),
        size: row.number(SIZE)?,
        digest: row.text(DIGEST)?.to_owned(),
        created_at: Timestamp::from_millis(row.number(CREATED_AT)?),
        expires_at: None,
        run: row.optional_text(RUN)?.map(RunId::parse).transpose()?,
        pieces: None,
    };
    Ok((metadata, Bytes::copy_from_slice(row.bytes(CONTENT)?)))
}

/// Writes rows as they were before there were versions.
#[cfg(test)]
pub(super) async fn save_as_before(database: &Arc<Database>, saved: &[(&str, &str, Vec<u8>)]) {
    use arrow_array::{LargeBinaryArray, RecordBatch, StringArray, UInt64Array};

    let text = |of: fn(&(&str, &str, Vec<u8>)) -> String| {
        Arc::new(StringArray::from_iter_values(saved.iter().map(of)))
    };
    let row = RecordBatch::try_new(
        schema(),
        vec![
            text(|row| row.0.to_owned()),
            text(|row| row.1.to_owned()),
            text(|row| format!("what {} is", row.0)),
            Arc::new(UInt64Array::from_iter_values(saved.iter().map(|row| row.2.len() as u64))),
            text(|row| crate::id::sha256_hex(&row.2)),
            Arc::new(UInt64Array::from_iter_values(saved.iter().map(|_| 7))),
            Arc::new(StringArray::from_iter(saved.iter().map(|_| None::<&str>))),
            Arc::new(LargeBinaryArray::from_iter_values(saved.iter().map(|row| &row.2))),
        ],
    );
    let table = Arc::new(Table::new(database, TABLE, schema(), VERSIONS_PER_FILE));
    table.insert(NAME, vec![row.unwrap()]).await.unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_bounded() {
        let sized = |sizes: &[u64]| {
            let named = sizes.iter().enumerate().map(|(at, size)| (at.to_string(), *size));
            groups(named.collect()).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sized(&[]), [0; 0]);
        assert_eq!(sized(&[1, 2, 3]), [3]);
        assert_eq!(sized(&[GROUP_BYTES * 2, 1, GROUP_BYTES, 1, 1]), [1, 1, 1, 2]);
        assert_eq!(sized(&[1; GROUP_ROWS + 1]), [GROUP_ROWS, 1]);
    }
}
