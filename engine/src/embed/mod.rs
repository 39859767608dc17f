//! Text to vectors, so that a search finds what is meant.

#[cfg(feature = "fastembed")]
pub mod fastembed;
pub mod hashing;

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, Result};

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

/// The vector of something that is said in these texts: the middle of theirs.
pub(crate) async fn embedded(embedder: &dyn Embedder, texts: Vec<String>) -> Result<Vector> {
    let vectors = embedder.embed(texts).await?;
    mean(&vectors).ok_or_else(|| Error::internal("the embedder returned no vector"))
}

/// The unit vector in the middle of some; `None` of none.
pub(crate) fn mean(vectors: &[Vector]) -> Option<Vector> {
    let (first, more) = vectors.split_first()?;
    if more.is_empty() {
        return Some(first.clone());
    }
    let mut sum = first.to_vec();
    for vector in more {
        sum.iter_mut().zip(vector.iter()).for_each(|(sum, number)| *sum += number);
    }
    Some(unit(sum))
}

/// Cosine of the angle between two unit vectors.
#[cfg(test)]
fn similarity(a: &Vector, b: &Vector) -> f32 {
    a.iter().zip(b.iter()).map(|(x, y)| x * y).sum()
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
