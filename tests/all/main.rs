//! One binary for all integration tests: it links once, and loads the sandbox once.

mod analysis;
mod boundary;
mod cases;
#[cfg(feature = "full")]
mod cli;
mod concurrency;
#[cfg(feature = "full")]
mod disk;
mod docs;
mod events;
mod hostile;
mod input;
mod isolation;
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
mod soak;
mod startup;
mod tools;
