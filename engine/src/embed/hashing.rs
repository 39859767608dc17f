//! An embedder without a model: texts that share words, or pieces of words, are near.

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::{Embedder, Vector};
use crate::error::Result;

/// Numbers in a vector. A description has some ten to fifty features; with 256
/// buckets, few of them collide.
const DIMENSIONS: usize = 256;

/// What a whole word weighs. Its trigrams share a weight of 1, so that
/// `repositories` is near `repository`, but a word that is the same counts more.
const WORD: f32 = 2.0;

/// Hashes words and their character trigrams into a vector of 256 numbers.
///
/// It finds what is spelt alike, not what means the same: it is what an engine
/// has when nobody gave it a model, and what tests use, because it is
/// deterministic and needs no files.
#[derive(Debug, Default, Clone, Copy)]
pub struct HashingEmbedder;

#[async_trait]
impl Embedder for HashingEmbedder {
    fn model(&self) -> &str {
        // Another way of hashing would be another model.
        "hashing-1"
    }

    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vector>> {
        Ok(texts.iter().map(|text| embed(text)).collect())
    }
}

fn embed(text: &str) -> Vector {
    let mut sums = [0.0_f32; DIMENSIONS];
    let text = text.to_lowercase();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        add(&mut sums, word, WORD);
        let padded: Vec<char> =
            std::iter::once(' ').chain(word.chars()).chain(std::iter::once(' ')).collect();
        let trigrams = padded.windows(3);
        let weight = 1.0 / (trigrams.len().max(1) as f32).sqrt();
        for trigram in trigrams {
            add(&mut sums, &trigram.iter().collect::<String>(), weight);
        }
    }
    super::unit(sums.to_vec())
}

/// Adds a feature, with a sign of its own: collisions then cancel out on average.
fn add(sums: &mut [f32], feature: &str, weight: f32) {
    let digest = Sha256::digest(feature.as_bytes());
    let mut bytes = digest.iter().copied();
    let (Some(bucket), Some(sign)) = (bytes.next(), bytes.next()) else { return };
    if let Some(sum) = sums.get_mut(usize::from(bucket)) {
        *sum += if sign & 1 == 0 { weight } else { -weight };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::similarity;

    #[test]
    fn what_is_spelt_alike_is_near() {
        let query = embed("fetch json from a url");
        let near = embed("Fetches JSON, given its URL");
        let far = embed("resize an image to a thumbnail");
        assert!(similarity(&query, &near) > similarity(&query, &far) + 0.2);
        assert!((similarity(&query, &query) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_text_without_words_has_a_vector_too() {
        for text in ["", " \n", "?!", "数据"] {
            let vector = embed(text);
            assert_eq!(vector.len(), DIMENSIONS);
            assert!(vector.iter().all(|number| number.is_finite()));
        }
    }

    #[tokio::test]
    async fn one_vector_a_text() {
        let texts = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(HashingEmbedder.embed(texts).await.unwrap().len(), 2);
    }
}
