//! From a question to the tools that answer it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::Registry;
use crate::embed::{Embedder, Vector};
use crate::error::{Error, Result};
use crate::search::{MAX_HITS, MAX_QUERY, similarity};
use crate::tools::{CallContext, ToolInfo};

/// The most texts whose vectors are kept: those of hundreds of servers.
const MAX_KEPT: usize = 16 * 1024;

/// How much more a tool is like a question that names it, or one of its tags or
/// callables. As much as two texts of one topic differ from two of two.
const NAMED: f32 = 0.25;

/// By model and text.
#[derive(Default)]
pub(super) struct Vectors(Mutex<BTreeMap<String, HashMap<String, Vector>>>);

impl Vectors {
    /// The vectors of some texts, of which only those that are not known are embedded.
    async fn of(&self, texts: &[String], embedder: &dyn Embedder) -> Result<Vec<Vector>> {
        let missing: Vec<String> = {
            let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = models.entry(embedder.model().to_owned()).or_default();
            if known.len() > MAX_KEPT {
                known.clear();
            }
            let missing: HashSet<_> =
                texts.iter().filter(|text| !known.contains_key(*text)).collect();
            missing.into_iter().cloned().collect()
        };
        let new =
            if missing.is_empty() { Vec::new() } else { embedder.embed(missing.clone()).await? };
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = models.entry(embedder.model().to_owned()).or_default();
        known.extend(missing.into_iter().zip(new));
        let found = texts.iter().map(|text| known.get(text).cloned());
        found
            .collect::<Option<_>>()
            .ok_or_else(|| Error::internal("the embedder answered too few vectors"))
    }
}

impl Registry {
    /// The tools that come nearest in meaning to a question, best first: each by
    /// what itself or one of its callables says, whichever is nearer. An empty
    /// question is answered with all, by name.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the question is too
    /// long; what the embedder says.
    pub async fn search(
        &self,
        query: &str,
        limit: usize,
        embedder: &dyn Embedder,
        context: &CallContext,
    ) -> Result<Vec<Arc<ToolInfo>>> {
        let limit = limit.min(MAX_HITS);
        if query.len() > MAX_QUERY {
            return Err(Error::invalid_argument(format!(
                "the question has {} bytes; use at most {MAX_QUERY}",
                query.len()
            )));
        }
        let tools = self.list_for(context).await;
        if query.trim().is_empty() || tools.is_empty() || limit == 0 {
            return Ok(tools.into_iter().take(limit).collect());
        }
        let (mut texts, mut owners) = (Vec::new(), Vec::new());
        for (owner, info) in tools.iter().enumerate() {
            for text in texts_of(info) {
                texts.push(text);
                owners.push(owner);
            }
        }
        let vectors = self.0.vectors.of(&texts, embedder).await?;
        let question = embedder.embed(vec![query.to_owned()]).await?;
        let Some(question) = question.first() else {
            return Err(Error::internal("the embedder answered no vector for the question"));
        };
        let words: HashSet<String> = words(query).collect();
        let mut scores: Vec<f32> = tools.iter().map(|_| f32::MIN).collect();
        for (vector, owner) in vectors.iter().zip(owners) {
            if let Some(score) = scores.get_mut(owner) {
                *score = score.max(similarity(question, vector));
            }
        }
        let mut found: Vec<_> = scores
            .into_iter()
            .zip(tools)
            .map(|(score, info)| {
                (if is_named(&info, &words) { score + NAMED } else { score }, info)
            })
            .collect();
        // Stable, so equals stay in the order of their names.
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(found.into_iter().take(limit).map(|(_, info)| info).collect())
    }
}

/// What a tool is found by: one text for itself, and one for each callable.
fn texts_of(info: &ToolInfo) -> Vec<String> {
    let spoken = |name: &str| name.replace('_', " ");
    let joined = |parts: &[&str]| {
        let parts: Vec<_> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
        parts.join(". ")
    };
    let name = spoken(info.name.as_str());
    let mut texts = vec![joined(&[&name, &info.description, &info.tags.join(", ")])];
    for callable in info.callables.iter().filter(|callable| !callable.name.is_empty()) {
        texts.push(joined(&[&format!("{name} {}", spoken(&callable.name)), &callable.description]));
    }
    texts
}

fn is_named(info: &ToolInfo, words: &HashSet<String>) -> bool {
    let callables = info.callables.iter().map(|callable| callable.name.as_str());
    let own = [info.name.as_str()].into_iter().chain(info.tags.iter().map(String::as_str));
    own.chain(callables)
        .filter(|name| !name.is_empty())
        .any(|name| words.contains(&name.to_lowercase()))
}

/// Identifiers are whole words here: `get_page` is asked for as such.
fn words(text: &str) -> impl Iterator<Item = String> {
    let split = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    split.filter(|word| !word.is_empty()).map(str::to_lowercase)
}
