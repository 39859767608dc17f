//! One binary for all integration tests: it links once, and loads the sandbox once.

mod analysis;
mod cases;
#[cfg(feature = "full")]
mod cli;
mod concurrency;
#[cfg(feature = "full")]
mod disk;
#[cfg(feature = "full")]
mod durable;
mod docs;
mod events;
#[cfg(feature = "full")]
mod format;
mod hostile;
mod input;
mod layering;
mod library;
mod limits;
#[cfg(feature = "full")]
mod mcp;
mod nesting;
mod replay;
mod seeds;
mod sessions;
mod shipped;
mod startup;
mod tools;
mod versions;
