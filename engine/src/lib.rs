//! A searchable library of Python workflows, each run in a WebAssembly sandbox of its own.
//!
//! ```text
//! source -> analysis -> library (LanceDB) -> search -> invoke -> sandbox (one instance per call)
//!        -> host capabilities (tools, workflows, artifacts) -> outcome -> run record
//! ```

// Vocabulary: plain data, no I/O, no third-party runtime types.
pub mod error;
pub mod json;
pub mod clock;
pub mod id;
pub mod limits;
pub mod workflow;
pub mod run;
pub mod schema;

// The flow.
pub mod embed;
pub mod search;
pub mod library;
pub mod artifacts;
pub mod record;
pub mod storage;
pub mod tools;
