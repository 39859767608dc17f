//! A searchable library of Python workflows, each run in a WebAssembly sandbox of its own.
//!
//! ```text
//! source -> analysis -> library (LanceDB) -> search -> invoke -> sandbox (one instance per call)
//!        -> host capabilities (tools, workflows, artifacts) -> outcome -> run record
//! ```
//!
//! One module per arrow, in that order below; one type on each:
//! source text, [`Analysis`](workflow::Analysis), [`Workflow`](workflow::Workflow),
//! [`Hit`](workflow::Hit), [`Invocation`](run::Invocation), [`Outcome`](run::Outcome), [`Run`](run::Run).
//! Read `invoke.rs` first.

// Vocabulary: plain data, no I/O, no third-party runtime types.
pub mod error;
pub mod json;
pub mod clock;
pub mod id;
pub mod limits;
pub mod live;
pub mod workflow;
pub mod recording;
pub mod run;
pub mod usage;
pub mod grants;
pub mod quota;
mod budget;
mod schema;

// The flow.
mod analysis;
pub mod embed;
pub mod search;
pub mod library;
#[cfg(feature = "lancedb")]
mod lance;
pub mod artifacts;
pub mod record;
pub mod approvals;
pub mod storage;
mod admission;
pub mod tools;
pub mod images;
pub mod capabilities;
mod host;
mod sandbox;
mod runtimes;
mod catalog;
mod exchange;
mod invoke;
pub mod replay;
mod invocation;
mod session;
mod tenant;
mod engine;

// Front-ends translate and decide nothing.
#[cfg(feature = "server")]
pub mod serve;
#[cfg(all(feature = "cli", feature = "fastembed", feature = "lancedb", feature = "server"))]
pub mod cli;

pub use engine::{Engine, EngineBuilder, Readiness};
pub use error::{Blame, Code, Error, Result};
pub use exchange::{ImportAction, Imported};
pub use grants::{Grants, LiveGrants};
pub use invocation::InvocationBuilder;
pub use json::Json;
pub use limits::Limits;
pub use quota::{LiveQuota, Quota};
pub use sandbox::{DEFAULT_MAX_INSTANCES, DEFAULT_STANDBY, EventSink, Runtime, RuntimeOptions};
pub use session::Session;
pub use tenant::Tenant;

/// The README's examples are compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExamples;

/// Likewise the page on embedding.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct EmbeddingExamples;
