//! The door to Arrow: workflows as rows, and back.
//!
//! What is on disk is defined here and nowhere else; the vocabulary can change
//! without changing it. A change that older versions cannot read needs a new
//! number in the data directory's `FORMAT`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{
    ArrayRef, FixedSizeListArray, LargeStringArray, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{SourceDigest, VersionId, WorkflowName};
use crate::json::Json;
use crate::lance::column;
use crate::lance::columns::{Row, rows, unexpected};
use crate::workflow::{
    Analysis, Dependency, Links, Parameter, Pin, Raises, Requires, Signature, Uses, Version,
    Warning, Workflow,
};

/// The key.
pub(super) const NAME: &str = "name";
/// A random number that tells one creation of a name from the next.
pub(super) const CREATION: &str = "creation";
/// What a workflow is found by.
pub(super) const VECTOR: &str = "vector";
const DESCRIPTION: &str = "description";
const SOURCE: &str = "source";
const DIGEST: &str = "digest";
/// Names the content.
pub(super) const VERSION: &str = "version";
/// What it invokes, as JSON: names, each with a version or null.
pub(super) const INVOKES: &str = "invokes";
/// A digest of what the version does not tell: a row that was damaged is not taken for another.
const SEAL: &str = "seal";
const ANALYSIS: &str = "analysis";
const CREATED_AT: &str = "created_at";
const DELETED_AT: &str = "deleted_at";

/// Everything but the vector, which nobody reads back.
pub(super) const COLUMNS: [&str; 10] =
    [NAME, CREATION, DESCRIPTION, SOURCE, DIGEST, VERSION, INVOKES, SEAL, ANALYSIS, CREATED_AT];

fn fields(key: bool) -> Vec<Field> {
    vec![
        column(NAME, DataType::Utf8, key),
        column(CREATION, DataType::UInt64, false),
        column(DESCRIPTION, DataType::Utf8, false),
        column(SOURCE, DataType::LargeUtf8, false),
        column(DIGEST, DataType::Utf8, false),
        column(VERSION, DataType::Utf8, false),
        column(INVOKES, DataType::LargeUtf8, false),
        column(SEAL, DataType::UInt64, false),
        column(ANALYSIS, DataType::LargeUtf8, false),
        // Milliseconds since the Unix epoch, as everywhere.
        column(CREATED_AT, DataType::UInt64, false),
    ]
}

/// The table of what there is.
pub(super) fn workflows(dimensions: i32) -> SchemaRef {
    let mut fields = fields(true);
    let numbers = Arc::new(Field::new("item", DataType::Float32, true));
    fields.push(column(VECTOR, DataType::FixedSizeList(numbers, dimensions), false));
    Arc::new(Schema::new(fields))
}

/// The table of what there was.
pub(super) fn history() -> SchemaRef {
    let mut fields = fields(false);
    fields.push(column(DELETED_AT, DataType::UInt64, false));
    Arc::new(Schema::new(fields))
}

/// A workflow, and which creation of its name it is.
pub(super) struct Created {
    pub(super) workflow: Workflow,
    pub(super) creation: u64,
}

fn arrays(created: &Created) -> Result<Vec<ArrayRef>> {
    let workflow = &created.workflow;
    let analysis = Json::from_value(&StoredAnalysis::from(&workflow.analysis))?;
    let invokes: StoredInvokes = workflow
        .invokes
        .iter()
        .map(|pin| (pin.name.to_string(), pin.version.map(|version| version.to_string())))
        .collect();
    let invokes = Json::from_value(&invokes)?;
    let (name, version) = (workflow.name.as_str(), workflow.version.to_string());
    let seal = seal(name, created.creation, &version, invokes.as_str(), workflow.created_at);
    Ok(vec![
        Arc::new(StringArray::from_iter_values([name])),
        Arc::new(UInt64Array::from_iter_values([created.creation])),
        Arc::new(StringArray::from_iter_values([&workflow.description])),
        Arc::new(LargeStringArray::from_iter_values([&workflow.source])),
        Arc::new(StringArray::from_iter_values([workflow.digest.to_string()])),
        Arc::new(StringArray::from_iter_values([&version])),
        Arc::new(LargeStringArray::from_iter_values([invokes.as_str()])),
        Arc::new(UInt64Array::from_iter_values([seal])),
        Arc::new(LargeStringArray::from_iter_values([analysis.as_str()])),
        Arc::new(UInt64Array::from_iter_values([workflow.created_at.as_millis()])),
    ])
}

fn seal(name: &str, creation: u64, version: &str, invokes: &str, at: Timestamp) -> u64 {
    let numbers = format!("{creation} {}", at.as_millis());
    VersionId::of([name, version, invokes, &numbers]).number()
}

/// A row of [`workflows`].
pub(super) fn live_row(
    schema: &SchemaRef,
    created: &Created,
    vector: &[f32],
) -> Result<Result<RecordBatch, ArrowError>> {
    let mut arrays = arrays(created)?;
    let numbers = vector.iter().copied().map(Some);
    let length = i32::try_from(vector.len()).unwrap_or(i32::MAX);
    arrays.push(Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        [Some(numbers)],
        length,
    )));
    Ok(RecordBatch::try_new(schema.clone(), arrays))
}

/// A row of [`history`].
pub(super) fn deleted_row(
    schema: &SchemaRef,
    created: &Created,
    deleted_at: Timestamp,
) -> Result<Result<RecordBatch, ArrowError>> {
    let mut arrays = arrays(created)?;
    arrays.push(Arc::new(UInt64Array::from_iter_values([deleted_at.as_millis()])));
    Ok(RecordBatch::try_new(schema.clone(), arrays))
}

/// Reads a row of either table.
///
/// # Errors
/// Also if the content is not what the version says: a file was damaged, or changed.
pub(super) fn read(row: Row<'_>) -> Result<Created> {
    let stored: StoredAnalysis = serde_json::from_str(row.text(ANALYSIS)?)
        .map_err(|error| unexpected(ANALYSIS, "an analysis").with_source(error))?;
    let Links { name, version, invokes } = read_links(row)?;
    let workflow = Workflow {
        name,
        description: row.text(DESCRIPTION)?.to_owned(),
        source: row.text(SOURCE)?.into(),
        digest: SourceDigest::parse(row.text(DIGEST)?)
            .ok_or_else(|| unexpected(DIGEST, "a digest"))?,
        version,
        invokes,
        analysis: stored.into(),
        created_at: Timestamp::from_millis(row.number(CREATED_AT)?),
    };
    let Workflow { name, source, description, analysis, .. } = &workflow;
    let creation = row.number(CREATION)?;
    let (sealed, invokes) = (row.text(VERSION)?, row.text(INVOKES)?);
    let seal = seal(name.as_str(), creation, sealed, invokes, workflow.created_at);
    if seal != row.number(SEAL)?
        || SourceDigest::of(source) != workflow.digest
        || Workflow::version_of(source, description, analysis) != version
    {
        return Err(Error::unavailable(format!(
            "the workflow {name} is not what was saved as version {}: a file of the data directory \
             is damaged, or was changed; `repertoire doctor` says more",
            version.short()
        )));
    }
    Ok(Created { workflow, creation })
}

/// Reads who invokes whom from a row of either table.
pub(super) fn read_links(row: Row<'_>) -> Result<Links> {
    let version = |text: &str| {
        VersionId::parse(text).ok_or_else(|| unexpected(VERSION, "the digest of a version"))
    };
    let stored: StoredInvokes = serde_json::from_str(row.text(INVOKES)?)
        .map_err(|error| unexpected(INVOKES, "names and versions").with_source(error))?;
    let pin = |(name, pinned): (String, Option<String>)| {
        let version = pinned.as_deref().map(version).transpose()?;
        Ok(Pin { name: WorkflowName::new(name)?, version })
    };
    Ok(Links {
        name: WorkflowName::new(row.text(NAME)?)?,
        version: version(row.text(VERSION)?)?,
        invokes: stored.into_iter().map(pin).collect::<Result<_>>()?,
    })
}

/// Reads a row of [`history`].
pub(super) fn read_deleted(row: Row<'_>) -> Result<(u64, Version)> {
    let Created { workflow, creation } = read(row)?;
    let deleted_at = Some(Timestamp::from_millis(row.number(DELETED_AT)?));
    Ok((creation, Version { workflow, deleted_at }))
}

/// A table's columns in format 1.
pub(super) fn without_versions(schema: &SchemaRef) -> SchemaRef {
    let is_old = |field: &&Arc<Field>| ![VERSION, INVOKES, SEAL].contains(&field.name().as_str());
    Arc::new(Schema::new(schema.fields().iter().filter(is_old).cloned().collect::<Vec<_>>()))
}

/// What format 1 knows of a row: its name, and what follows from its content.
pub(super) fn read_1(row: Row<'_>) -> Result<(WorkflowName, VersionId, Analysis)> {
    let stored: StoredAnalysis = serde_json::from_str(row.text(ANALYSIS)?)
        .map_err(|error| unexpected(ANALYSIS, "an analysis").with_source(error))?;
    let analysis = Analysis::from(stored);
    let version = Workflow::version_of(row.text(SOURCE)?, row.text(DESCRIPTION)?, &analysis);
    Ok((WorkflowName::new(row.text(NAME)?)?, version, analysis))
}

/// Rows of format 1 as rows of `schema`, where the names mean `names`.
pub(super) fn with_versions(
    schema: &SchemaRef,
    batch: &RecordBatch,
    names: &HashMap<WorkflowName, VersionId>,
) -> Result<Result<RecordBatch, ArrowError>> {
    let (mut versions, mut invokes, mut seals) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows(std::slice::from_ref(batch)) {
        let (name, version, analysis) = read_1(row)?;
        let stored: StoredInvokes = analysis
            .invoked()
            .into_iter()
            .map(|used| {
                let meant = if used == name { Some(version) } else { names.get(&used).copied() };
                (used.to_string(), meant.map(|version| version.to_string()))
            })
            .collect();
        let (version, stored) = (version.to_string(), Json::from_value(&stored)?);
        let at = Timestamp::from_millis(row.number(CREATED_AT)?);
        seals.push(seal(name.as_str(), row.number(CREATION)?, &version, stored.as_str(), at));
        versions.push(version);
        invokes.push(stored.as_str().to_owned());
    }
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, ArrowError> {
        Ok(match field.name().as_str() {
            VERSION => Arc::new(StringArray::from_iter_values(&versions)),
            INVOKES => Arc::new(LargeStringArray::from_iter_values(&invokes)),
            SEAL => Arc::new(UInt64Array::from_iter_values(seals.iter().copied())),
            name => batch
                .column_by_name(name)
                .cloned()
                .ok_or_else(|| ArrowError::SchemaError(format!("there is no column {name}")))?,
        })
    });
    let columns = columns.collect::<Result<Vec<_>, _>>();
    Ok(columns.and_then(|columns| RecordBatch::try_new(schema.clone(), columns)))
}

/// [`Pin`]s as they are stored: a JSON object, in the order of the names.
type StoredInvokes = BTreeMap<String, Option<String>>;

/// An [`Analysis`] as it is stored: JSON, of which absent parts are empty.
#[derive(Serialize, Deserialize)]
struct StoredAnalysis {
    signature: StoredSignature,
    #[serde(default)]
    description: String,
    #[serde(default)]
    docstring: String,
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    workflows: Vec<String>,
    #[serde(default)]
    artifacts: Vec<String>,
    /// What was saved before this was looked for may reach anything.
    #[serde(default = "unknown")]
    computed: Vec<String>,
    #[serde(default)]
    warnings: Vec<StoredWarning>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runtime: Option<String>,
    /// Names and version specifiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct StoredSignature {
    text: String,
    is_async: bool,
    parameters: Vec<StoredParameter>,
    accepts_unknown: bool,
    returns: Json,
    #[serde(default)]
    returns_description: String,
    #[serde(default)]
    raises: Vec<StoredRaises>,
}

#[derive(Serialize, Deserialize)]
struct StoredParameter {
    name: String,
    schema: Json,
    required: bool,
    /// Absent is none; `null` is the default `None`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    default: Option<Json>,
    #[serde(default)]
    description: String,
}

#[derive(Serialize, Deserialize)]
struct StoredRaises {
    exception: String,
    description: String,
}

#[derive(Serialize, Deserialize)]
struct StoredWarning {
    code: String,
    message: String,
    line: u32,
}

/// Serde reads `null` as no value; here it is one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

fn unknown() -> Vec<String> {
    ["artifacts", "tools", "workflows"].map(str::to_owned).into()
}

impl From<&Analysis> for StoredAnalysis {
    fn from(analysis: &Analysis) -> Self {
        let signature = &analysis.signature;
        let parameter = |p: &Parameter| StoredParameter {
            name: p.name.clone(),
            schema: p.schema.clone(),
            required: p.required,
            default: p.default.clone(),
            description: p.description.clone(),
        };
        let raises = |r: &Raises| StoredRaises {
            exception: r.exception.clone(),
            description: r.description.clone(),
        };
        let warning = |w: &Warning| StoredWarning {
            code: w.code.clone(),
            message: w.message.clone(),
            line: w.line,
        };
        Self {
            signature: StoredSignature {
                text: signature.text.clone(),
                is_async: signature.is_async,
                parameters: signature.parameters.iter().map(parameter).collect(),
                accepts_unknown: signature.accepts_unknown,
                returns: signature.returns.clone(),
                returns_description: signature.returns_description.clone(),
                raises: signature.raises.iter().map(raises).collect(),
            },
            description: analysis.description.clone(),
            docstring: analysis.docstring.clone(),
            tools: analysis.uses.tools.clone(),
            workflows: analysis.uses.workflows.clone(),
            artifacts: analysis.uses.artifacts.clone(),
            computed: analysis.uses.computed.clone(),
            warnings: analysis.warnings.iter().map(warning).collect(),
            runtime: analysis.requires.runtime.clone(),
            dependencies: analysis
                .requires
                .dependencies
                .iter()
                .map(|each| (each.name.clone(), each.versions.clone()))
                .collect(),
        }
    }
}

impl From<StoredAnalysis> for Analysis {
    fn from(stored: StoredAnalysis) -> Self {
        let parameter = |p: StoredParameter| Parameter {
            name: p.name,
            schema: p.schema,
            required: p.required,
            default: p.default,
            description: p.description,
        };
        let raises =
            |r: StoredRaises| Raises { exception: r.exception, description: r.description };
        let warning = |w: StoredWarning| Warning { code: w.code, message: w.message, line: w.line };
        Self {
            signature: Signature {
                text: stored.signature.text,
                is_async: stored.signature.is_async,
                parameters: stored.signature.parameters.into_iter().map(parameter).collect(),
                accepts_unknown: stored.signature.accepts_unknown,
                returns: stored.signature.returns,
                returns_description: stored.signature.returns_description,
                raises: stored.signature.raises.into_iter().map(raises).collect(),
            },
            description: stored.description,
            docstring: stored.docstring,
            uses: Uses {
                tools: stored.tools,
                workflows: stored.workflows,
                artifacts: stored.artifacts,
                computed: stored.computed,
            },
            requires: Requires {
                runtime: stored.runtime,
                dependencies: stored
                    .dependencies
                    .into_iter()
                    .map(|(name, versions)| Dependency { name, versions })
                    .collect(),
            },
            warnings: stored.warnings.into_iter().map(warning).collect(),
        }
    }
}
