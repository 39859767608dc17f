//! Text to vectors, so that a search finds what is meant.

#[cfg(feature = "fastembed")]
pub mod fastembed;
pub mod hashing;

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;

/// A unit vector of [`Embedder::dimensions`] numbers.
pub type Vector = Arc<[f32]>;

/// Turns texts into vectors: near in meaning, near in direction.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Names the model. Vectors of different models are not comparable, so the
    /// name is stored with them.
    fn model(&self) -> &str;

    /// Numbers in a vector.
    fn dimensions(&self) -> usize;

    /// One unit vector a text, in order.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the model cannot be loaded.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vector>>;
}

/// A vector of length 1 in the direction of `numbers`; all zeros stay zeros, near to nothing.
fn unit(mut numbers: Vec<f32>) -> Vector {
    let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 && length.is_finite() {
        numbers.iter_mut().for_each(|number| *number /= length);
    } else {
        numbers.fill(0.0);
    }
    numbers.into()
}
