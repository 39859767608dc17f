//! From a question to the tools that answer it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::Registry;
use crate::embed::{Embedder, Vector, embedded, mean};
use crate::error::{Error, Result};
use crate::search::{Document, Index, MAX_HITS, MAX_QUERY, Question, spoken};
use crate::tools::{CallContext, ToolInfo};

/// The most texts whose vectors are kept: those of hundreds of servers.
const MAX_KEPT: usize = 16 * 1024;

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
    /// The tools that answer a question best, by meaning and by words as workflows are found, best
    /// first: each by what itself or one of its callables says, whichever fits better. An empty
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
        let documents: Vec<_> = tools.iter().flat_map(|info| documents_of(info)).collect();
        let texts: Vec<_> = documents.iter().map(|(_, document)| document.texts()).collect();
        let mut vectors = self.0.vectors.of(&texts.concat(), embedder).await?.into_iter();
        let mut index = Index::default();
        for ((key, document), texts) in documents.iter().zip(&texts) {
            let vectors: Vec<_> = vectors.by_ref().take(texts.len()).collect();
            if let Some(vector) = mean(&vectors) {
                index.insert(*key, document, &vector);
            }
        }
        let vector = embedded(embedder, vec![query.to_owned()]).await?;
        let found = index.search(&Question { text: query.to_owned(), vector }, index.len());
        // A tool is as good as its best part, which comes first.
        let mut seen = HashSet::new();
        let names = found.iter().map(|found| found.key.0).filter(|name| seen.insert(*name));
        Ok(names
            .filter_map(|name| tools.iter().find(|info| info.name.as_str() == name).cloned())
            .take(limit)
            .collect())
    }
}

/// What a tool is found by: itself, and each of its callables, by the names of both.
fn documents_of(info: &ToolInfo) -> Vec<((&str, &str), Document)> {
    let name = spoken(info.name.as_str());
    let tool = Document { name: name.clone(), details: info.tags.join(" "), ..Document::default() };
    let itself = info.callable("").map_or(&[][..], |callable| &callable.parameters);
    let mut documents =
        vec![((info.name.as_str(), ""), tool.described(&info.description).with_parameters(itself))];
    for callable in info.callables.iter().filter(|callable| !callable.name.is_empty()) {
        let document =
            Document { name: format!("{name} {}", spoken(&callable.name)), ..Document::default() };
        let document =
            document.described(&callable.description).with_parameters(&callable.parameters);
        documents.push(((info.name.as_str(), callable.name.as_str()), document));
    }
    documents
}
