//! Differences of texts, line by line, as `diff -u` writes them.
//!
//! The shortest script by Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986), between
//! what both texts begin and end with. Texts with more differences than are looked for are told as wholly different there:
//! the result is always right, not always short.

use std::fmt::Write;

/// Lines around a difference.
const CONTEXT: usize = 3;
/// Lines added and removed that are looked for: the work and the memory grow with the square of it.
const EDITS_MAX: usize = 1_000;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit<'t> {
    Keep(&'t str),
    Remove(&'t str),
    Add(&'t str),
}

/// The difference of a document's texts; none: it is not there. Cut, with a line that says so, beyond `bytes_max`.
pub(super) fn unified(name: &str, before: Option<&str>, after: Option<&str>, bytes_max: usize) -> String {
    let mut out = String::new();
    let side = |text: Option<&str>, prefix: &str| {
        text.map_or("/dev/null".to_owned(), |_| format!("{prefix}/{name}"))
    };
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "--- {}\n+++ {}", side(before, "a"), side(after, "b"));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let edits = edits(&lines(before), &lines(after));
    for hunk in hunks(&edits) {
        write_hunk(&mut out, &edits, hunk);
        if out.len() > bytes_max {
            let end = (0..=bytes_max)
                .rev()
                .find(|at| out.is_char_boundary(*at))
                .unwrap_or_default();
            out.truncate(end);
            out.push_str("\n… what follows is left out: it is too long\n");
            break;
        }
    }
    out
}

/// With their ends, so that a missing last one is a difference.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn edits<'t>(before: &[&'t str], after: &[&'t str]) -> Vec<Edit<'t>> {
    let shorter = before.len().min(after.len());
    let start = (0..shorter).take_while(|at| before[*at] == after[*at]).count();
    let alike = |back: &usize| before[before.len() - 1 - back] == after[after.len() - 1 - back];
    let end = (0..shorter - start).take_while(alike).count();
    let (old, new) = (
        &before[start..before.len() - end],
        &after[start..after.len() - end],
    );
    let mut edits: Vec<Edit<'t>> = before[..start].iter().map(|line| Edit::Keep(line)).collect();
    let (mut x, mut y) = (0, 0);
    for (next_x, next_y) in matches(old, new).into_iter().chain([(old.len(), new.len())]) {
        edits.extend(old[x..next_x].iter().map(|line| Edit::Remove(line)));
        edits.extend(new[y..next_y].iter().map(|line| Edit::Add(line)));
        edits.extend(
            old.get(next_x)
                .filter(|_| next_x < old.len())
                .map(|line| Edit::Keep(line)),
        );
        (x, y) = (next_x + 1, next_y + 1);
    }
    edits.extend(before[before.len() - end..].iter().map(|line| Edit::Keep(line)));
    edits
}

/// Which lines stay, as pairs of places in both; none if there are too many differences.
fn matches(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let edits_max = (old.len() + new.len()).min(EDITS_MAX);
    let middle = edits_max + 1;
    // How far along `old` the diagonals have come: that of `x - y == k` at `middle + k`.
    let mut reach = vec![0_usize; 2 * middle + 1];
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for edits in 0..=edits_max {
        steps.push(reach[middle - edits..=middle + edits].to_vec());
        for diagonal in (middle - edits..=middle + edits).step_by(2) {
            let is_down = is_down(&reach, diagonal, middle - edits, middle + edits);
            let mut x = if is_down {
                reach[diagonal + 1]
            } else {
                reach[diagonal - 1] + 1
            };
            let mut y = x + middle - diagonal;
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            reach[diagonal] = x;
            if x >= old.len() && y >= new.len() {
                return walk_back(&steps, (old.len(), new.len()));
            }
        }
    }
    Vec::new()
}

/// A diagonal is reached from the one above, by a line that is added, rather than by one that is removed.
fn is_down(reach: &[usize], diagonal: usize, first: usize, last: usize) -> bool {
    diagonal == first || (diagonal != last && reach[diagonal - 1] < reach[diagonal + 1])
}

fn walk_back(steps: &[Vec<usize>], (mut x, mut y): (usize, usize)) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (edits, reach) in steps.iter().enumerate().skip(1).rev() {
        // `reach` begins with the diagonal `-edits`.
        let diagonal = x + edits - y;
        let before = match is_down(reach, diagonal, 0, 2 * edits) {
            true => diagonal + 1,
            false => diagonal - 1,
        };
        let before_x = reach[before];
        let before_y = before_x + edits - before;
        while x > before_x && y > before_y {
            (x, y) = (x - 1, y - 1);
            found.push((x, y));
        }
        (x, y) = (before_x, before_y);
    }
    while x > 0 && y > 0 {
        (x, y) = (x - 1, y - 1);
        found.push((x, y));
    }
    found.reverse();
    found
}

/// Ranges of edits that are shown together.
fn hunks(edits: &[Edit<'_>]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, edit) in edits.iter().enumerate() {
        if matches!(edit, Edit::Keep(_)) {
            continue;
        }
        let (start, end) = (at.saturating_sub(CONTEXT), (at + 1 + CONTEXT).min(edits.len()));
        match hunks.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            _ => hunks.push(start..end),
        }
    }
    hunks
}

fn write_hunk(out: &mut String, edits: &[Edit<'_>], hunk: std::ops::Range<usize>) {
    let in_old = |edits: &[Edit<'_>]| edits.iter().filter(|edit| !matches!(edit, Edit::Add(_))).count();
    let in_new = |edits: &[Edit<'_>]| {
        edits
            .iter()
            .filter(|edit| !matches!(edit, Edit::Remove(_)))
            .count()
    };
    let (past, shown) = (&edits[..hunk.start], &edits[hunk]);
    let place = |before: usize, count: usize| {
        // What has no line is placed behind the line before it.
        let first = if count == 0 { before } else { before + 1 };
        if count == 1 {
            format!("{first}")
        } else {
            format!("{first},{count}")
        }
    };
    let (old, new) = (
        place(in_old(past), in_old(shown)),
        place(in_new(past), in_new(shown)),
    );
    let _ = writeln!(out, "@@ -{old} +{new} @@");
    for edit in shown {
        let (sign, line) = match edit {
            Edit::Keep(line) => (' ', line),
            Edit::Remove(line) => ('-', line),
            Edit::Add(line) => ('+', line),
        };
        out.push(sign);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests;
