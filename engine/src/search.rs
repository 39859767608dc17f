//! From a question to the workflows that answer it: candidates by vector,
//! ranked by a pure function.

use crate::embed::Vector;
use crate::workflow::{Hit, Workflow};

/// The longest question, in bytes; a model reads some 256 tokens of it anyway.
pub const MAX_QUERY: usize = 4096;

/// The most hits that one search returns.
pub const MAX_HITS: usize = 100;

/// A workflow that may answer a question.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The workflow.
    pub workflow: Workflow,
    /// Cosine of the angle between the question's vector and the workflow's.
    pub similarity: f32,
}

/// The text that a workflow is found by.
#[must_use]
pub fn text(workflow: &Workflow) -> String {
    let mut text = workflow.name.as_str().replace('_', " ");
    let described = [&workflow.description, &workflow.analysis.description];
    for (index, part) in described.into_iter().enumerate() {
        if !part.is_empty() && !described.iter().take(index).any(|earlier| *earlier == part) {
            text.push_str(". ");
            text.push_str(part);
        }
    }
    if !workflow.analysis.signature.parameters.is_empty() {
        text.push_str(". ");
        let names = workflow.analysis.signature.parameters.iter();
        text.push_str(&names.map(|p| p.name.replace('_', " ")).collect::<Vec<_>>().join(", "));
    }
    text
}

/// The best `limit` candidates, best first, ties by name.
#[must_use]
pub fn rank(mut candidates: Vec<Candidate>, limit: usize) -> Vec<Hit> {
    for candidate in &mut candidates {
        // A damaged vector is like nothing; as it is, it would come first.
        if candidate.similarity.is_nan() {
            candidate.similarity = 0.0;
        }
    }
    candidates.sort_by(|a, b| {
        b.similarity.total_cmp(&a.similarity).then_with(|| a.workflow.name.cmp(&b.workflow.name))
    });
    candidates.truncate(limit.min(MAX_HITS));
    candidates
        .into_iter()
        .map(|candidate| Hit {
            score: f64::from(candidate.similarity.clamp(0.0, 1.0)),
            workflow: candidate.workflow,
        })
        .collect()
}

/// Cosine of the angle between two unit vectors.
#[must_use]
pub fn similarity(a: &Vector, b: &Vector) -> f32 {
    a.iter().zip(b.iter()).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::WorkflowName;
    use crate::json::Json;
    use crate::workflow::{Analysis, Parameter};

    fn workflow(name: &str) -> Workflow {
        let (name, at) = (WorkflowName::new(name).unwrap(), Timestamp::default());
        Workflow::new(name, "", "Fetch JSON from a URL", Analysis::default(), at)
    }

    #[test]
    fn best_first_then_by_name() {
        let candidates = [("c", 0.5), ("b", 0.5), ("nan", f32::NAN), ("a", 1.1), ("z", -0.2)];
        let candidates: Vec<_> = candidates
            .into_iter()
            .map(|(name, similarity)| Candidate { workflow: workflow(name), similarity })
            .collect();
        let shown: Vec<_> = rank(candidates.clone(), 9)
            .iter()
            .map(|hit| format!("{} {:.1}", hit.workflow.name, hit.score))
            .collect();
        assert_eq!(shown, ["a 1.0", "b 0.5", "c 0.5", "nan 0.0", "z 0.0"]);
        assert_eq!(rank(candidates, 2).len(), 2);
        assert!(rank(Vec::new(), 2).is_empty());
    }

    #[test]
    fn is_found_by_what_it_says_of_itself_once() {
        let mut workflow = workflow("fetch_json");
        workflow.analysis.description = workflow.description.clone();
        workflow.analysis.signature.parameters = vec![Parameter {
            name: "time_limit".to_owned(),
            schema: Json::empty_object(),
            required: true,
            default: None,
            description: String::new(),
        }];
        assert_eq!(text(&workflow), "fetch json. Fetch JSON from a URL. time limit");
    }
}
