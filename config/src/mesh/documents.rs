//! The documents of a mesh: where each stands among the others, and what was read of it.
//!
//! Places in documents have a document's number, and diagnostics are in the order of these. A document that is there in the
//! next mesh, too, keeps its number, whatever comes before it or goes: so its places stay, and with them what was read of it.

use super::read::Said;
use crate::diagnostic::Diagnostic;
use crate::yaml::reader;
use std::collections::HashMap;
use std::sync::Arc;

/// From one document's number to the next, where none has to be kept: as often as it can be halved, a document that comes
/// between two finds room between any two.
const APART: u32 = 1 << 16;

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    /// Greater than that of the one before it.
    pub(super) number: u32,
    pub(super) name: Arc<str>,
    pub(super) text: Arc<str>,
    /// What was read of it; none if something was said of that, which has to be said again.
    pub(super) said: Option<Arc<Said>>,
}

/// Documents with their numbers, and with what was read of those that are as they were.
pub(super) fn following<'t>(
    before: &[Document],
    texts: impl IntoIterator<Item = (&'t str, Arc<str>)>,
) -> Vec<Document> {
    let known: HashMap<&str, &Document> = before.iter().map(|known| (&*known.name, known)).collect();
    let texts: Vec<_> = texts.into_iter().collect();
    let kept: Vec<_> = texts.iter().map(|(name, _)| known.get(name).copied()).collect();
    let numbers = numbers(kept.iter().map(|known| known.map(|known| known.number)).collect());
    let all = texts.into_iter().zip(kept).zip(numbers);
    all.map(|(((name, text), known), number)| document(name, text, known, number))
        .collect()
}

fn document(name: &str, text: Arc<str>, known: Option<&Document>, number: u32) -> Document {
    let is_same = |known: &&Document| {
        // What variables stand for is not the document's to know.
        known.number == number && known.text == text && !text.contains("${")
    };
    Document {
        number,
        name: known.map_or_else(|| name.into(), |known| Arc::clone(&known.name)),
        said: known.filter(is_same).and_then(|known| known.said.clone()),
        text,
    }
}

/// A number for each document, in order; those that are given stay, if there is room for the others between them.
fn numbers(given: Vec<Option<u32>>) -> Vec<u32> {
    let count = u32::try_from(given.len()).unwrap_or(u32::MAX);
    let apart = (u32::MAX / count.saturating_add(1)).min(APART);
    let anew = || (1..=count).map(|place| place * apart).collect();
    if given.iter().all(Option::is_none) {
        return anew();
    }
    let mut numbers: Vec<u32> = Vec::with_capacity(given.len());
    let mut at = 0;
    while at < given.len() {
        let gap = given[at..].iter().take_while(|number| number.is_none()).count();
        let low = numbers.last().copied().unwrap_or(0);
        let end = given.get(at + gap).copied().flatten();
        let high = end.unwrap_or_else(|| low.saturating_add(apart.saturating_mul(gap as u32 + 1)));
        let step = high.saturating_sub(low) / (gap as u32 + 1);
        if step == 0 {
            return anew();
        }
        numbers.extend((1..=gap as u32).map(|place| low + place * step));
        numbers.extend(end);
        at += gap + usize::from(end.is_some());
    }
    numbers
}

/// The documents as readers know them.
pub(super) fn names(documents: &[Document]) -> reader::Documents {
    let name = |document: &Document| (document.number, Arc::clone(&document.name));
    Arc::new(documents.iter().map(name).collect())
}

/// Diagnostics, which are in the order of documents, with the lines that they point at. From here on they have each
/// document's place instead of its number, which tells of the past.
pub(super) fn shown(mut found: Vec<Diagnostic>, documents: &[Document]) -> Vec<Diagnostic> {
    let place = |number| {
        documents
            .binary_search_by_key(&number, |document| document.number)
            .ok()
    };
    crate::yaml::give_lines(&mut found, |number| place(number).map(|at| &*documents[at].text));
    for one in &mut found {
        let at = place(one.span.document).unwrap_or(0);
        one.span.document = u32::try_from(at).unwrap_or(u32::MAX);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn numbers_that_are_given_stay_and_others_fit_between() {
        assert_eq!(numbers(vec![None; 3]), [1 << 16, 2 << 16, 3 << 16]);
        assert_eq!(
            numbers(vec![None, Some(1 << 16), None, None, Some(2 << 16), None]),
            [1 << 15, 1 << 16, 87_381, 109_226, 2 << 16, 3 << 16]
        );
        assert_eq!(numbers(vec![Some(5), Some(6)]), [5, 6]);
        assert_eq!(numbers(Vec::new()), [0; 0]);
    }

    #[test]
    fn without_room_or_out_of_order_all_are_given_anew() {
        let anew = |count: u32| (1..=count).map(|place| place << 16).collect::<Vec<_>>();
        assert_eq!(numbers(vec![Some(5), None, Some(6)]), anew(3));
        assert_eq!(numbers(vec![Some(6), Some(5)]), anew(2));
        assert_eq!(numbers(vec![Some(6), Some(6)]), anew(2));
        assert_eq!(numbers(vec![None, Some(1)]), anew(2));
        assert_eq!(numbers(vec![Some(u32::MAX), None]), anew(2));
        // Always between the same two: there is room for a while, and then all move.
        let (mut low, mut high) = (1 << 16, 2 << 16);
        let mut fitted = 0;
        while let [first, middle, last] = numbers(vec![Some(low), None, Some(high)])[..]
            && (first, last) == (low, high)
        {
            assert!(first < middle && middle < last);
            (low, high) = (low, middle);
            fitted += 1;
        }
        assert_eq!(fitted, 16);
    }
}
