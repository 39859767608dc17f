//! A real embedding model: all-MiniLM-L6-v2 by fastembed, on ONNX Runtime.
//!
//! The model's files and ONNX Runtime's library are read from where they are
//! said to lie; nothing is downloaded and no environment variable is set.
//! fastembed can fetch models from a hub itself: on a machine that has access
//! to one, an embedder enables fastembed's feature `hf-hub` in its own
//! `Cargo.toml` and wraps `TextEmbedding::try_new` in an [`Embedder`] of its own.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use fastembed::{
    InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel,
};

use super::{Embedder, Vector, unit};
use crate::error::{Error, Result};

const MODEL: &str = "all-MiniLM-L6-v2";
const DIMENSIONS: usize = 384;

/// What the model was trained on; it makes nothing of more.
const MAX_TOKENS: usize = 256;

/// How many texts are run at once. More are not faster, and each takes memory
/// for the longest of them.
const BATCH: usize = 32;

/// How many questions' vectors are remembered. Agents often ask the same thing
/// again at once, with another limit or after saving something.
const REMEMBERED: usize = 32;

/// Embeds with all-MiniLM-L6-v2, which is loaded when it is first needed.
pub struct FastEmbedder {
    model_dir: PathBuf,
    ort_library: Option<PathBuf>,
    /// Whoever holds it has the model, and the processor's cores.
    model: Arc<tokio::sync::Mutex<Option<TextEmbedding>>>,
    remembered: Mutex<VecDeque<(String, Vector)>>,
}

impl FastEmbedder {
    /// The model whose files (`model.onnx`, `tokenizer.json`, `config.json`,
    /// `special_tokens_map.json` and `tokenizer_config.json`) lie in
    /// `model_dir`, on the ONNX Runtime whose shared library is
    /// `ort_library_path`, or else the one that the system's loader finds.
    ///
    /// Nothing is read yet. A process has one ONNX Runtime: the first that is loaded.
    pub fn new(model_dir: impl Into<PathBuf>, ort_library_path: Option<PathBuf>) -> Self {
        Self {
            model_dir: model_dir.into(),
            ort_library: ort_library_path,
            model: Arc::default(),
            remembered: Mutex::default(),
        }
    }

    fn remembered(&self) -> MutexGuard<'_, VecDeque<(String, Vector)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, text: &str) -> Option<Vector> {
        let mut remembered = self.remembered();
        let at = remembered.iter().position(|(known, _)| known == text)?;
        let entry = remembered.remove(at)?;
        let vector = entry.1.clone();
        remembered.push_back(entry);
        Some(vector)
    }

    fn remember(&self, text: String, vector: Vector) {
        let mut remembered = self.remembered();
        if remembered.len() == REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back((text, vector));
    }
}

#[async_trait]
impl Embedder for FastEmbedder {
    fn model(&self) -> &str {
        MODEL
    }

    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vector>> {
        let single = match texts.as_slice() {
            [] => return Ok(Vec::new()),
            [text] => match self.recall(text) {
                Some(vector) => return Ok(vec![vector]),
                None => (text.len() <= crate::search::MAX_QUERY).then(|| text.clone()),
            },
            _ => None,
        };
        // One at a time, and waited for here: a thread that waits for its turn does nothing else.
        let mut model = Arc::clone(&self.model).lock_owned().await;
        let (model_dir, library) = (self.model_dir.clone(), self.ort_library.clone());
        let work = move || -> Result<_> {
            // Taken out, so that it is not used again if it panics.
            let mut loaded = match model.take() {
                Some(loaded) => loaded,
                None => load(&model_dir, library.as_deref())?,
            };
            let vectors = run(&mut loaded, &texts, &model_dir)?;
            *model = Some(loaded);
            Ok(vectors)
        };
        let vectors = tokio::task::spawn_blocking(work).await.map_err(|error| {
            Error::unavailable("the embedding model, or ONNX Runtime, panicked").with_source(error)
        })??;
        if let (Some(text), [vector]) = (single, vectors.as_slice()) {
            self.remember(text, vector.clone());
        }
        Ok(vectors)
    }
}

fn run(model: &mut TextEmbedding, texts: &[String], dir: &Path) -> Result<Vec<Vector>> {
    let vectors = model.embed(texts, Some(BATCH)).map_err(|error| {
        Error::unavailable(format!("the embedding model in {} failed", dir.display()))
            .with_source(error)
    })?;
    if vectors.len() != texts.len() || vectors.iter().any(|vector| vector.len() != DIMENSIONS) {
        return Err(Error::unavailable(format!(
            "the embedding model in {} is not {MODEL}: its vectors do not have {DIMENSIONS} dimensions",
            dir.display()
        )));
    }
    Ok(vectors.into_iter().map(unit).collect())
}

fn load(dir: &Path, library: Option<&Path>) -> Result<TextEmbedding> {
    // The files first: they are missing more often than the library.
    let model = UserDefinedEmbeddingModel::new(
        file(dir, "model.onnx")?,
        TokenizerFiles {
            tokenizer_file: file(dir, "tokenizer.json")?,
            config_file: file(dir, "config.json")?,
            special_tokens_map_file: file(dir, "special_tokens_map.json")?,
            tokenizer_config_file: file(dir, "tokenizer_config.json")?,
        },
    )
    .with_pooling(Pooling::Mean);
    load_runtime(library)?;
    let options = InitOptionsUserDefined::new()
        .with_max_length(MAX_TOKENS)
        // Threads that spin while they wait for the next text take the cores from the sandbox.
        .with_session_config("session.intra_op.allow_spinning", "0");
    TextEmbedding::try_new_from_user_defined(model, options).map_err(|error| {
        Error::unavailable(format!(
            "the embedding model in {} cannot be loaded: its files are damaged, or of another kind \
             of model; fetch them again",
            dir.display()
        ))
        .with_source(error)
    })
}

fn file(dir: &Path, name: &str) -> Result<Vec<u8>> {
    let path = dir.join(name);
    let problem = match std::fs::read(&path) {
        Ok(bytes) if !bytes.is_empty() => return Ok(bytes),
        Ok(_) => io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"),
        Err(error) => error,
    };
    Err(Error::unavailable(format!(
        "the embedding model is not in {}: {name} cannot be read; put the files of {MODEL} there, or \
         name the directory they lie in",
        dir.display()
    ))
    .with_source(problem))
}

/// Loads ONNX Runtime, once in a process. Done by ort itself, a failure would be a panic.
fn load_runtime(library: Option<&Path>) -> Result<()> {
    let path = match library {
        Some(path) => {
            check_library(path)?;
            path.to_owned()
        }
        None => {
            let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
            PathBuf::from(format!("{prefix}onnxruntime{suffix}"))
        }
    };
    match ort::init_from(&path) {
        // Loading is all that is wanted; fastembed makes the environment.
        Ok(_) => Ok(()),
        Err(error) => Err(Error::unavailable(format!(
            "ONNX Runtime cannot be loaded from {}: name the path of its shared library, version 1.{} or newer",
            path.display(),
            ort::MINOR_VERSION
        ))
        .with_source(error)),
    }
}

/// Refuses what is not a whole library. Touching the missing part of one that
/// was cut short would end the process with a signal.
fn check_library(path: &Path) -> Result<()> {
    let problem = match is_whole(path) {
        Ok(true) => return Ok(()),
        Ok(false) => io::Error::new(io::ErrorKind::InvalidData, "not a whole shared library"),
        Err(error) => error,
    };
    Err(Error::unavailable(format!(
        "ONNX Runtime is not at {}: name the path of its shared library, or fetch it again",
        path.display()
    ))
    .with_source(problem))
}

fn is_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(false);
    }
    if !cfg!(target_os = "linux") {
        return Ok(metadata.len() > 0);
    }
    let mut header = [0_u8; 64];
    file.read_exact(&mut header)?;
    // An ELF file's last part is, as linkers write it, the table of its sections.
    let number = |at: usize, bytes: usize| {
        let digits = header.get(at..at + bytes).unwrap_or_default();
        digits.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let end = number(0x28, 8).saturating_add(number(0x3a, 2) * number(0x3c, 2));
    Ok(header.starts_with(b"\x7fELF\x02") && end <= metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::similarity;
    use crate::error::Code;

    /// What `make` puts into the workspace.
    fn build() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../build")
    }

    fn is_built() -> bool {
        build().join("model/model.onnx").exists() && build().join("lib/libonnxruntime.so").exists()
    }

    async fn refused(model_dir: &Path, library: &Path) -> String {
        let embedder = FastEmbedder::new(model_dir, Some(library.to_owned()));
        let error = embedder.embed(vec!["a".to_owned()]).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        error.chain()
    }

    #[tokio::test]
    async fn near_in_meaning_is_near_in_direction() {
        if !is_built() {
            return;
        }
        let library = build().join("lib/libonnxruntime.so");
        let embedder = FastEmbedder::new(build().join("model"), Some(library));
        let texts = [
            "That is a happy person",
            "That is a very happy person",
            "That is a happy dog",
            "Today is a sunny day",
        ];
        let vectors = embedder.embed(texts.map(str::to_owned).to_vec()).await.unwrap();
        let first = vectors.first().unwrap();
        let found: Vec<String> =
            vectors.iter().map(|vector| format!("{:.3}", similarity(first, vector))).collect();
        assert_eq!(found, ["1.000", "0.943", "0.695", "0.257"]);
        // Once more, alone and then remembered.
        for _ in 0..2 {
            let again = embedder.embed(vec![texts[1].to_owned()]).await.unwrap();
            assert!(similarity(&again[0], &vectors[1]) > 0.9999);
        }
        let long = "word ".repeat(100_000);
        assert_eq!(embedder.embed(vec![long, String::new()]).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let library = build().join("lib/libonnxruntime.so");
        assert!(refused(dir.path(), &library).await.contains("model.onnx cannot be read"));
        for name in [
            "model.onnx",
            "tokenizer.json",
            "config.json",
            "special_tokens_map.json",
            "tokenizer_config.json",
        ] {
            std::fs::write(dir.path().join(name), "{}").unwrap();
        }
        let nowhere = dir.path().join("nowhere.so");
        assert!(refused(dir.path(), &nowhere).await.contains("ONNX Runtime is not at"));
        if is_built() {
            let half = dir.path().join("half.so");
            let whole = std::fs::read(&library).unwrap();
            std::fs::write(&half, whole.get(..whole.len() / 2).unwrap()).unwrap();
            assert!(refused(dir.path(), &half).await.contains("not a whole"));
            assert!(refused(dir.path(), &library).await.contains("files are damaged"));
        }
    }
}
