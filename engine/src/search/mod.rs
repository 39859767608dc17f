//! From a question to what answers it, by meaning and by words: an index of documents, each with
//! a vector and its words, whose two scores are added.
//!
//! Workflows and tools are found alike. How the weights were chosen, and what else was tried, is
//! in `docs/decisions/0030-search.md`.

mod document;
mod index;
mod words;

pub use document::{Document, spoken};
pub use index::{Found, Index};

use crate::embed::Vector;

/// The longest question, in bytes; a model reads some 256 tokens of it anyway.
pub const MAX_QUERY: usize = 4096;

/// The most hits that one search returns.
pub const MAX_HITS: usize = 100;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Question {
    /// In words. Empty, only the vectors are compared.
    pub text: String,
    /// What the words mean.
    pub vector: Vector,
}
