//! The nearest of several valid names, by edit distance.

/// Names longer than this get no suggestion, which bounds the work.
const LENGTH_MAX: usize = 64;

/// The candidate nearest to `word`, if one is near enough to be what was meant; the first of equals.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    // Never as many changes as letters: every letter is near every other then.
    let allowed = (word.len() / 3).clamp(1, 3).min(word.len().saturating_sub(1));
    if word.is_empty() || word.len() > LENGTH_MAX {
        return None;
    }
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        if candidate.len() > LENGTH_MAX || candidate.len().abs_diff(word.len()) > allowed + 8 {
            continue;
        }
        let letters: Vec<char> = candidate.to_lowercase().chars().collect();
        let distance = distance(&word, &letters);
        // A word that the other begins or ends with is near, however long the rest is (`timeout`, `idle_timeout`).
        let part = word.len() >= 4 && (letters.ends_with(&word) || letters.starts_with(&word));
        let rank = if distance <= allowed {
            distance
        } else if part {
            allowed + 1
        } else {
            continue;
        };
        if best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `from` into `to`.
fn distance(from: &[char], to: &[char]) -> usize {
    let width = to.len() + 1;
    let mut table = vec![0; (from.len() + 1) * width];
    for row in 0..=from.len() {
        for column in 0..=to.len() {
            let value = if row == 0 || column == 0 {
                row + column
            } else {
                let changed = usize::from(from[row - 1] != to[column - 1]);
                let mut least = (table[(row - 1) * width + column] + 1)
                    .min(table[row * width + column - 1] + 1)
                    .min(table[(row - 1) * width + column - 1] + changed);
                let swapped = row > 1
                    && column > 1
                    && from[row - 1] == to[column - 2]
                    && from[row - 2] == to[column - 1];
                if swapped {
                    least = least.min(table[(row - 2) * width + column - 2] + 1);
                }
                least
            };
            table[row * width + column] = value;
        }
    }
    table[from.len() * width + to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_far() {
        let fields = ["name", "address", "filter_chains", "idle_timeout"];
        let suggest = |word: &str| nearest(word, fields.into_iter());
        assert_eq!(suggest("adress"), Some("address"));
        assert_eq!(suggest("nmae"), Some("name"));
        assert_eq!(suggest("filterChains"), Some("filter_chains"));
        assert_eq!(suggest("timeout"), Some("idle_timeout"));
        assert_eq!(suggest("weight"), None);
        assert_eq!(suggest(""), None);
        assert_eq!(nearest("c", ["a", "b"].into_iter()), None);
        assert_eq!(suggest(&"n".repeat(10_000)), None);
    }
}
