//! One binary for all integration tests: it links once, and loads the sandbox once.

/// Gives memory back. The C library's keeps what it was given back, so that what a
/// test leaves behind could not be told from what the allocator holds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod analysis;
mod approvals;
mod artifacts;
mod boundary;
mod capabilities;
mod cases;
#[cfg(feature = "full")]
mod cli;
mod concurrency;
mod conformance;
#[cfg(feature = "full")]
mod disk;
#[cfg(feature = "full")]
mod durable;
mod docs;
#[cfg(feature = "full")]
mod embedding;
mod events;
mod examples;
#[cfg(feature = "full")]
mod fairness_figures;
mod format;
mod hostile;
mod image_figures;
mod images;
mod input;
mod isolation;
mod layering;
mod library;
#[cfg(feature = "full")]
mod library_figures;
mod limits;
#[cfg(feature = "full")]
mod mcp;
mod nesting;
mod quotas;
mod replay;
#[cfg(feature = "full")]
mod search_quality;
mod seeds;
#[cfg(feature = "full")]
mod runtime_docs;
#[cfg(feature = "full")]
mod serve;
mod sessions;
mod shipped;
mod soak;
mod standby;
mod startup;
#[cfg(feature = "full")]
mod tool_docs;
#[cfg(feature = "full")]
mod tool_figures;
mod tools;
#[cfg(feature = "full")]
mod tools_in_rust;
mod versions;
