//! Hides private keys, and headers that are sent to collectors, in the lines that diagnostics show.
//!
//! Works on the text, since a document that is not YAML has no tree. It hides what stands between the lines that begin
//! and end a private key in PEM, and whatever is the value of a
//! field that holds secrets. Rather too much than too little: a
//! key that never ends hides the rest of the document.

use std::ops::Range;

/// What is hidden: parts of the text, in order of their beginnings, which may overlap.
pub(crate) struct Secrets(Vec<Range<usize>>);

const HIDDEN: char = '*';
/// The section in which headers are what is sent to collectors, credentials among them.
const TELEMETRY: &str = "telemetry";
const HEADERS: &str = "headers";
/// Fields whose values are hidden: private keys, and the secret parts of a JSON Web Key.
const FIELDS: [&str; 3] = ["private_key", "\"d\"", "\"k\""];

impl Secrets {
    pub(crate) fn find(text: &str) -> Secrets {
        let mut found = Vec::new();
        armoured(text, &mut found);
        values(text, 0..text.len(), &FIELDS, &mut found);
        collectors(text, &mut found);
        found.sort_by_key(|range| range.start);
        Secrets(found)
    }

    /// A line of the text, which begins at `at`, with one character for one character.
    pub(crate) fn hide(&self, line: &str, at: usize) -> String {
        let mut hidden = self
            .0
            .iter()
            .filter(|range| range.start < at + line.len() && range.end > at)
            .peekable();
        if hidden.peek().is_none() {
            return line.to_owned();
        }
        let hidden: Vec<&Range<usize>> = hidden.collect();
        line.char_indices()
            .map(|(offset, letter)| match letter {
                ' ' => letter,
                _ if hidden.iter().any(|range| range.contains(&(at + offset))) => HIDDEN,
                _ => letter,
            })
            .collect()
    }
}

/// What stands after `-----BEGIN … PRIVATE KEY-----`, up to the end.
fn armoured(text: &str, found: &mut Vec<Range<usize>>) {
    const LABEL: &str = "PRIVATE KEY-----";
    let mut open = None;
    for (at, _) in text.match_indices(LABEL) {
        let dashes = text[..at].rfind("-----").unwrap_or(at);
        match (text[dashes..].starts_with("-----END"), open) {
            (true, Some(start)) => {
                found.push(start..dashes);
                open = None;
            }
            (false, None) => open = Some(at + LABEL.len()),
            (true, None) | (false, Some(_)) => {}
        }
    }
    found.extend(open.map(|start| start..text.len()));
}

/// The values of these fields, of keys that stand within a part of the text.
fn values(text: &str, part: Range<usize>, fields: &[&str], found: &mut Vec<Range<usize>>) {
    let keys = fields
        .iter()
        .flat_map(|field| text[part.clone()].match_indices(field));
    for (at, field) in keys {
        let at = part.start + at;
        let rest = text[at + field.len()..].trim_start_matches(['"', '\'']);
        let Some(rest) = rest.trim_start_matches(' ').strip_prefix(':') else {
            continue;
        };
        let start = text.len() - rest.trim_start_matches(' ').len();
        found.push(start..value_end(text, at, start));
    }
}

/// The headers of collectors.
fn collectors(text: &str, found: &mut Vec<Range<usize>>) {
    let mut sections = Vec::new();
    values(text, 0..text.len(), &[TELEMETRY], &mut sections);
    for section in sections {
        values(text, section, &[HEADERS], found);
    }
}

/// Where the value that begins at `start`, of the key at `key`, ends at the latest.
fn value_end(text: &str, key: usize, start: usize) -> usize {
    let value = &text[start..];
    if let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        return closing(value, quote).map_or(text.len(), |end| start + end);
    }
    if value.starts_with(['{', '[']) {
        return flow_end(value).map_or(text.len(), |end| start + end);
    }
    let line_end = value.find('\n').map_or(text.len(), |end| start + end);
    let line_start = text[..key].rfind('\n').map_or(0, |end| end + 1);
    let indent = indent(&text[line_start..]);
    // In a flow map on one line the value ends with it; a block goes on while lines are indented.
    let line = &text[start..line_end];
    let is_block = line.starts_with(['|', '>', '&']) || line.trim().is_empty();
    if let Some(end) = line.find([',', '}']).filter(|_| !is_block) {
        return start + end;
    }
    let mut end = line_end;
    for line in text[line_end..].split_inclusive('\n').skip(1) {
        if !line.trim().is_empty() && self::indent(line) <= indent {
            break;
        }
        end += line.len();
    }
    end.min(text.len())
}

/// Where a map or list in braces ends.
fn flow_end(value: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    while let Some(letter) = value[at..].chars().next() {
        match letter {
            '"' | '\'' => at += closing(&value[at..], letter)?,
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        at += value[at..].chars().next().map_or(0, char::len_utf8);
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Where a text in quotes ends; a quote that is escaped or doubled is part of it.
fn closing(value: &str, quote: char) -> Option<usize> {
    let mut letters = value.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && quote == '"' {
            letters.next();
        } else if letter == quote {
            match letters.peek() {
                Some((_, next)) if *next == quote && quote == '\'' => {
                    letters.next();
                }
                _ => return Some(at),
            }
        }
    }
    None
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let secrets = Secrets::find(text);
        let mut at = 0;
        let lines = text.split_inclusive('\n').map(|line| {
            let shown = secrets.hide(line.trim_end_matches('\n'), at);
            at += line.len();
            shown
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn keys_are_hidden_wherever_they_stand() {
        for (text, hidden) in [
            ("a: 1\nb: 2", "a: 1\nb: 2"),
            ("private_key: c2VjcmV0\nb: 2", "private_key: ********\nb: 2"),
            ("{private_key: c2VjcmV0, b: 2}", "{private_key: ********, b: 2}"),
            (
                "{\"private_key\": \"s \\\" t\", b: 2}",
                "{\"private_key\": ** ** *\", b: 2}",
            ),
            (
                "{'private_key' : 's '' t', b: 2}",
                "{'private_key' : ** ** *', b: 2}",
            ),
            (
                "- private_key: |\n    c2Vj\n\n    cmV0\n  b: 2",
                "- private_key: *\n    ****\n\n    ****\n  b: 2",
            ),
            (
                "private_key:\n  c2Vj\n  cmV0\nb: 2",
                "private_key:\n  ****\n  ****\nb: 2",
            ),
            (
                "private_key: \"c2Vj\n cmV0\"\nb: 2",
                "private_key: *****\n ****\"\nb: 2",
            ),
            ("private_key: \"c2Vj\nb: 2", "private_key: *****\n** *"),
            (
                "x: \"-----BEGIN EC PRIVATE KEY-----\\nc2Vj\\n-----END EC PRIVATE KEY-----\"\nb: 2",
                "x: \"-----BEGIN EC PRIVATE KEY-----********-----END EC PRIVATE KEY-----\"\nb: 2",
            ),
            (
                "x: |\n  -----BEGIN PRIVATE KEY-----\n  c2Vj\n  -----END PRIVATE KEY-----\nb: 2",
                "x: |\n  -----BEGIN PRIVATE KEY-----\n  ****\n  -----END PRIVATE KEY-----\nb: 2",
            ),
            (
                "x: |\n  -----BEGIN PRIVATE KEY-----\n  c2Vj\nb: 2",
                "x: |\n  -----BEGIN PRIVATE KEY-----\n  ****\n** *",
            ),
            (
                "inline: '{\"d\": \"c2Vj\", \"x\": 1}'",
                "inline: '{\"d\": *****\", \"x\": 1}'",
            ),
            ("private_key_file: key.pem", "private_key_file: key.pem"),
            ("headers: {a: b}", "headers: {a: b}"),
            (
                "telemetry: {collectors: [{headers: {a: 'b}', c: [d]}, name: e}]}\nheaders: f",
                "telemetry: {collectors: [{headers: *** ***** ** ****, name: e}]}\nheaders: f",
            ),
            (
                "telemetry:\n  collectors:\n  - name: e\n    headers:\n      a: b\n    timeout: 1s\nx:\n  headers: f",
                "telemetry:\n  collectors:\n  - name: e\n    headers:\n      ** *\n    timeout: 1s\nx:\n  headers: f",
            ),
            (
                "telemetry: {headers: {a: \"b, c: d",
                "telemetry: {headers: *** *** ** *",
            ),
        ] {
            assert_eq!(shown(text), hidden, "{text}");
        }
    }
}
