use super::*;
use proptest::prelude::*;

#[test]
fn reads_as_diff_writes_it() {
    let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
    let after = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nl\nm\n";
    let expected = "--- a/x.yaml\n+++ b/x.yaml\n\
        @@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n\
        @@ -8,5 +8,5 @@\n h\n i\n j\n-k\n l\n+m\n";
    assert_eq!(unified("x.yaml", Some(before), Some(after), 10_000), expected);
}

#[test]
fn additions_removals_and_missing_ends_are_told() {
    assert_eq!(
        unified("x", None, Some("a\nb\n"), 10_000),
        "--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+a\n+b\n"
    );
    assert_eq!(
        unified("x", Some("a\n"), None, 10_000),
        "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
    );
    assert_eq!(
        unified("x", Some("a"), Some("a\n"), 10_000),
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
    );
}

#[test]
fn what_is_too_long_or_too_different_is_bounded() {
    let many = |word: &str| {
        (0..3 * EDITS_MAX)
            .map(|line| format!("{word}{line}\n"))
            .collect::<String>()
    };
    let (before, after) = (many("a"), many("b"));
    let told = unified("x", Some(&before), Some(&after), usize::MAX / 2);
    assert!(
        told.contains(&format!("@@ -1,{0} +1,{0} @@", 3 * EDITS_MAX)),
        "{}",
        &told[..100]
    );
    let cut = unified("x", Some(&before), Some(&after), 500);
    assert!(cut.len() < 700 && cut.ends_with("it is too long\n"), "{cut}");
}

fn apply(edits: &[Edit<'_>], is_old: bool) -> String {
    let line = |edit: &Edit<'_>| match edit {
        Edit::Keep(line) => Some((*line).to_owned()),
        Edit::Remove(line) => is_old.then(|| (*line).to_owned()),
        Edit::Add(line) => (!is_old).then(|| (*line).to_owned()),
    };
    edits.iter().filter_map(line).collect()
}

/// The length of the longest common subsequence, by the table.
fn longest(old: &[&str], new: &[&str]) -> usize {
    let mut row = vec![0; new.len() + 1];
    for old in old {
        let mut corner = 0;
        for (at, new) in new.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if old == new {
                corner + 1
            } else {
                above.max(row[at])
            };
            corner = above;
        }
    }
    row[new.len()]
}

proptest! {
    #[test]
    fn both_texts_follow_from_the_edits_and_none_is_in_vain(old in "[ab\n]{0,40}", new in "[ab\n]{0,40}") {
        let (old_lines, new_lines) = (lines(&old), lines(&new));
        let edits = edits(&old_lines, &new_lines);
        prop_assert_eq!(apply(&edits, true), old.clone());
        prop_assert_eq!(apply(&edits, false), new.clone());
        let kept = edits.iter().filter(|edit| matches!(edit, Edit::Keep(_))).count();
        prop_assert_eq!(kept, longest(&old_lines, &new_lines));
    }
}
