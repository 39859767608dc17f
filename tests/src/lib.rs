//! What the tests share: a runtime that is loaded once in a process, engines
//! with tools that do what a test asks for, and cases that are folders.

#![allow(clippy::missing_panics_doc, reason = "a test's helper panics when the test fails")]

mod case;
mod exact;
mod fixture;
mod places;
mod wheel;

pub use case::{Call, Case, Expected, ExpectedFailure, Group};
pub use exact::same_json;
pub use fixture::{Fixture, Seen};
pub use places::{
    Bench, TenantOrNew, bench, bench_with, build_dir, cache_dir, cli, component, engine,
    repository, runtime,
};
#[cfg(feature = "full")]
pub use places::{embedder, engine_on_disk};
pub use wheel::{Member, wheel, wheel_of};
