//! Host bindings of Repertoire's contract, generated from `wit/`.
//!
//! This crate holds the only `bindgen!` and what it needs to be used: every
//! import is an async function with access to the store, every export an async
//! method. What a host makes of them is its own affair; `examples/minimal.rs`
//! is a host in one file.
#![expect(
    missing_docs,
    reason = "generated; the documentation is in wit/ and appears on most items"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "workflow",
    imports: { default: async | store | trappable },
    exports: { default: async },
    // Answers of the host are recorded, and read again for a replay.
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});

pub use exports::repertoire::workflow::guest;
pub use repertoire::workflow::{artifacts, calls, images, tools, types, workflows};
pub use wasmtime;
