//! Documents in memory, found by the meaning and the words of a question.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use super::words::words;
use super::{Document, Question};
use crate::workflow::{Hit, Workflow};

/// How soon further occurrences of a word count less, and how much less a word counts in a long
/// document: BM25 as usual (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25
/// and Beyond", 2009).
const SATURATION: f32 = 1.2;
const LENGTH: f32 = 0.75;

/// What a point of BM25 is worth in cosines.
const WORDS: f32 = 0.04;

/// Numbers of a vector are kept as whole ones up to this: a quarter of the memory, and what is
/// lost, some thousandths, is less than a ranking means.
const LEVELS: f32 = 127.0;

/// Documents that are found by the meaning and the words of a question, each under a key.
#[derive(Debug)]
pub struct Index<K> {
    at: BTreeMap<K, u32>,
    entries: Vec<Option<Entry<K>>>,
    free: Vec<u32>,
    words: Vocabulary,
    /// Of all documents together, in words.
    length: u64,
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    /// Times [`LEVELS`].
    vector: Box<[i8]>,
    words: Box<[u32]>,
    length: u32,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<K> {
    /// What it is filed under.
    pub key: K,
    /// Between 0 and 1; comparable within one search only.
    pub score: f64,
    /// The words of the question that it has, in the question's order.
    pub matched: Vec<String>,
}

impl<K> Found<K> {
    /// What is filed under the key, as a search's result.
    #[must_use]
    pub fn hit(self, workflow: Workflow) -> Hit {
        Hit { workflow, score: self.score, matched: self.matched }
    }
}

/// A document that has a word, and how often.
type Posting = (u32, u16);

/// Which documents have a word. A word that no document has any more is forgotten.
#[derive(Debug, Default)]
struct Vocabulary {
    at: HashMap<Arc<str>, u32>,
    lists: Vec<(Arc<str>, Vec<Posting>)>,
    free: Vec<u32>,
}

impl Vocabulary {
    fn get(&self, word: &str) -> Option<(u32, &[Posting])> {
        let at = *self.at.get(word)?;
        self.lists.get(at as usize).map(|(_, list)| (at, list.as_slice()))
    }

    fn insert(&mut self, word: &str, document: u32, count: u16) -> u32 {
        let at = match self.at.get(word) {
            Some(at) => *at,
            None => {
                let word: Arc<str> = word.into();
                let at = match self.free.pop() {
                    Some(at) => at,
                    None => {
                        self.lists.push((Arc::clone(&word), Vec::new()));
                        (self.lists.len() - 1) as u32
                    }
                };
                if let Some(list) = self.lists.get_mut(at as usize) {
                    list.0 = Arc::clone(&word);
                }
                self.at.insert(word, at);
                at
            }
        };
        if let Some((_, list)) = self.lists.get_mut(at as usize) {
            list.push((document, count));
        }
        at
    }

    fn remove(&mut self, at: u32, document: u32) {
        let Some((word, list)) = self.lists.get_mut(at as usize) else { return };
        if let Some(found) = list.iter().position(|(one, _)| *one == document) {
            list.swap_remove(found);
        }
        if list.is_empty() {
            *list = Vec::new();
            self.at.remove(word);
            self.free.push(at);
        }
    }
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            at: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            words: Vocabulary::default(),
            length: 0,
        }
    }
}

impl<K: Clone + Ord + Hash> Index<K> {
    /// How many documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Files a document under a key, in the place of what was there.
    pub fn insert(&mut self, key: K, document: &Document, vector: &[f32]) {
        self.remove(&key);
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        let mut counts = BTreeMap::<String, u16>::new();
        let mut length = 0;
        for word in document.words() {
            let count = counts.entry(word).or_default();
            *count = count.saturating_add(1);
            length += 1;
        }
        let words =
            counts.iter().map(|(word, count)| self.words.insert(word, at, *count)).collect();
        self.length += u64::from(length);
        let entry = Entry { key: key.clone(), vector: whole(vector), words, length };
        if let Some(place) = self.entries.get_mut(at as usize) {
            *place = Some(entry);
        }
        self.at.insert(key, at);
    }

    /// Forgets what is filed under a key.
    pub fn remove(&mut self, key: &K) {
        let Some(at) = self.at.remove(key) else { return };
        let Some(entry) = self.entries.get_mut(at as usize).and_then(Option::take) else { return };
        for word in entry.words {
            self.words.remove(word, at);
        }
        self.length -= u64::from(entry.length);
        self.free.push(at);
    }

    /// The `limit` documents that answer a question best, best first, ties by key.
    #[must_use]
    pub fn search(&self, question: &Question, limit: usize) -> Vec<Found<K>> {
        let asked: Vec<String> = words(&question.text).collect();
        let mut seen = BTreeSet::new();
        let asked: Vec<&String> = asked.iter().filter(|word| seen.insert(*word)).collect();
        let (mut scores, most) = self.by_words(&asked);
        let vector = whole(&question.vector);
        let mut best = BinaryHeap::with_capacity(limit.min(self.len()) + 1);
        for (at, (entry, by_words)) in self.entries.iter().zip(&mut scores).enumerate() {
            let Some(entry) = entry else { continue };
            let score = cosine(&vector, &entry.vector) + WORDS * *by_words;
            // The heap's top is the worst, which goes when there are too many.
            best.push(Reverse((Score(score), Reverse(&entry.key), at as u32)));
            if best.len() > limit {
                best.pop();
            }
        }
        let best = best.into_sorted_vec().into_iter();
        best.map(|Reverse((Score(score), Reverse(key), at))| Found {
            key: key.clone(),
            // As much as the question's words, all found, could give.
            score: f64::from(score / (1.0 + WORDS * most)).clamp(0.0, 1.0),
            matched: self.matched(&asked, at),
        })
        .collect()
    }

    /// For each entry how well its words fit, and how well they could at most.
    fn by_words(&self, asked: &[&String]) -> (Vec<f32>, f32) {
        let (mut scores, mut most) = (vec![0.0; self.entries.len()], 0.0);
        let documents = self.len() as f32;
        let mean = self.length as f32 / documents.max(1.0);
        for word in asked {
            let Some((_, list)) = self.words.get(word) else { continue };
            let with = list.len() as f32;
            let rarity = (1.0 + (documents - with + 0.5) / (with + 0.5)).ln();
            most += rarity;
            for (at, count) in list {
                let (Some(Some(entry)), Some(score)) =
                    (self.entries.get(*at as usize), scores.get_mut(*at as usize))
                else {
                    continue;
                };
                let long = 1.0 - LENGTH + LENGTH * entry.length as f32 / mean;
                let count = f32::from(*count);
                *score += rarity * count / (count + SATURATION * long);
            }
        }
        (scores, most)
    }

    fn matched(&self, asked: &[&String], at: u32) -> Vec<String> {
        let Some(Some(entry)) = self.entries.get(at as usize) else { return Vec::new() };
        let has =
            |word: &str| self.words.get(word).is_some_and(|(word, _)| entry.words.contains(&word));
        asked.iter().filter(|word| has(word)).map(|word| (*word).clone()).collect()
    }
}

/// Ordered by its number.
#[derive(PartialEq)]
struct Score(f32);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A vector in whole numbers; one that is damaged, like nothing.
fn whole(vector: &[f32]) -> Box<[i8]> {
    // A conversion that saturates, and makes 0 of what is no number.
    vector.iter().map(|number| (number * LEVELS).round() as i8).collect()
}

fn cosine(a: &[i8], b: &[i8]) -> f32 {
    let sum: i32 = a.iter().zip(b).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
    sum as f32 / (LEVELS * LEVELS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document(name: &str, description: &str) -> Document {
        Document { name: name.to_owned(), ..Document::default() }.described(description)
    }

    fn question(text: &str, vector: [f32; 2]) -> Question {
        Question { text: text.to_owned(), vector: vector.to_vec().into() }
    }

    fn shown(index: &Index<&'static str>, question: &Question, limit: usize) -> Vec<String> {
        let found = index.search(question, limit);
        found.iter().map(|f| format!("{} {:.2} {}", f.key, f.score, f.matched.join(" "))).collect()
    }

    #[test]
    fn best_first_then_by_key() {
        let mut index = Index::default();
        let north = question("", [0.0, 1.0]);
        assert!(index.search(&north, 9).is_empty());
        for (key, vector) in [
            ("c", [0.8, 0.6]),
            ("b", [0.8, 0.6]),
            ("nan", [f32::NAN; 2]),
            ("a", [0.0, 1.1]),
            ("z", [0.6, -0.8]),
        ] {
            index.insert(key, &document("", ""), &vector);
        }
        assert_eq!(
            shown(&index, &north, 9),
            ["a 1.00 ", "b 0.60 ", "c 0.60 ", "nan 0.00 ", "z 0.00 "]
        );
        assert_eq!(shown(&index, &north, 2), ["a 1.00 ", "b 0.60 "]);
        assert!(index.search(&north, 0).is_empty());
    }

    #[test]
    fn words_decide_between_what_means_the_same() {
        let mut index = Index::default();
        for (key, name) in [("csv", "read csv"), ("tsv", "read tsv"), ("xml", "read xml")] {
            index.insert(key, &document(name, "Read rows of a file"), &[0.6, 0.8]);
        }
        let found = shown(&index, &question("Read the TSV rows, rows", [0.6, 0.8]), 3);
        assert!(found[0].starts_with("tsv") && found[0].ends_with(" read tsv rows"));
        assert!(found[1].starts_with("csv") && found[1].ends_with(" read rows"));
        // A word that nobody knows changes nothing.
        let with = index.search(&question("read zzz", [0.6, 0.8]), 3);
        assert_eq!(with, index.search(&question("read", [0.6, 0.8]), 3));
    }

    #[test]
    fn nothing_is_kept_of_what_goes() {
        let mut index = Index::default();
        for round in 0..100 {
            let unique = format!("w{round}");
            index.insert("a", &document(&unique, "x y"), &[1.0, 0.0]);
            index.insert("b", &document(&unique, ""), &[1.0, 0.0]);
            index.remove(&"b");
        }
        assert_eq!((index.len(), index.entries.len(), index.words.at.len()), (1, 2, 3));
        assert!(index.words.lists.len() <= 4);
        index.remove(&"a");
        assert_eq!((index.is_empty(), index.length), (true, 0));
    }

    proptest! {
        #[test]
        fn it_is_as_if_made_anew(steps in proptest::collection::vec((0_usize..6, "[a-d ]{0,12}", any::<bool>()), 0..60)) {
            const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
            let (mut index, mut live) = (Index::default(), BTreeMap::new());
            for (key, text, insert) in steps {
                if insert {
                    index.insert(KEYS[key], &document(&text, ""), &[0.6, 0.8]);
                    live.insert(KEYS[key], text);
                } else {
                    index.remove(&KEYS[key]);
                    live.remove(KEYS[key]);
                }
            }
            let mut anew = Index::default();
            for (key, text) in &live {
                anew.insert(*key, &document(text, ""), &[0.6, 0.8]);
            }
            for text in ["a", "b c", "", "dd a"] {
                let question = question(text, [0.8, 0.6]);
                prop_assert_eq!(index.search(&question, 9), anew.search(&question, 9));
            }
        }
    }
}
