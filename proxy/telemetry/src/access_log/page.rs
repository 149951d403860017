//! The page of operators, printed from the operators themselves.

use super::operator::{HEADERS, NOT_HERE, PLAIN, RARE};
use super::sensitive::{NAMES, PAIRS, WORDS};
use crate::flags::ResponseFlags;

/// `docs/access-log-operators.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Operators of the access log\n\n\
         What `%…%` stands for in the formats of [access logs](access-log.md), by Envoy's names. This page is printed from the \
         code. What is missing prints as `-`, in JSON as `null`, or not at all with `omit_empty_values`; in JSON a value that \
         is an operator alone keeps its type. All are there for requests and for TCP connections, where what only requests \
         have is missing, or 0. Times print as `2030-01-31T18:00:00.123Z`, or by a format as `strftime` has it, always in UTC: \
         `%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%`, `%s` for seconds since 1970, `%1f` to `%9f` for so many digits of the \
         second's fraction.\n",
    );
    headers(&mut page);
    for (title, operators) in PLAIN {
        heading(title, &mut page);
        for plain in *operators {
            row(plain.name, "", plain.read.kind(), plain.about, &mut page);
        }
    }
    heading("Others", &mut page);
    for rare in RARE {
        row(rare.name, rare.argument, rare.kind(), rare.about, &mut page);
    }
    flags(&mut page);
    credentials(&mut page);
    not_here(&mut page);
    page
}

fn heading(title: &str, page: &mut String) {
    page.push_str(&format!(
        "\n## {title}\n\n| operator | in JSON | is |\n|---|---|---|\n"
    ));
}

fn row(name: &str, argument: &str, kind: &str, about: &str, page: &mut String) {
    let argument = match argument {
        "" => String::new(),
        argument => format!("({argument})"),
    };
    page.push_str(&format!("| `%{name}{argument}%` | {kind} | {about} |\n"));
}

fn headers(page: &mut String) {
    heading("Headers", page);
    for header in HEADERS {
        row(header.name, "NAME", "string", header.about, page);
    }
}

fn flags(page: &mut String) {
    page.push_str(
        "\n## Flags\n\nEnvoy's, as far as this proxy can set them.\n\n| flag | long | means |\n|---|---|---|\n",
    );
    let names = ResponseFlags::NAMES.iter().zip(ResponseFlags::LONG_NAMES);
    for ((name, long), meaning) in names.zip(ResponseFlags::MEANINGS) {
        page.push_str(&format!(
            "| `{name}` | `{long}` | {} |\n",
            meaning.trim_end_matches('.')
        ));
    }
}

fn credentials(page: &mut String) {
    let shown = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let pairs: Vec<String> = PAIRS
        .iter()
        .map(|(one, other)| format!("{one}-{other}"))
        .collect();
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    page.push_str(&format!(
        "\n## Credentials\n\nHeaders, and parameters of `%QUERY_PARAM(NAME)%`, with these names print as `[redacted]` unless the \
         log's `headers_allowed` names them: {}; and every name with one of these words between hyphens, underscores or \
         dots: {}, {}.\n",
        shown(NAMES),
        shown(WORDS),
        shown(&pairs),
    ));
}

fn not_here(page: &mut String) {
    page.push_str(
        "\n## Not here\n\nOperators of Envoy's that are refused, by name, since nothing here could fill them.\n\n\
         | operator | instead |\n|---|---|\n",
    );
    for (name, instead) in NOT_HERE {
        page.push_str(&format!("| `%{name}%` | {instead} |\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `UPDATE_DOCS=1 cargo test -p outrigger-telemetry` writes the page.
    #[test]
    fn the_committed_page_is_what_the_code_prints() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access-log-operators.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == page(),
            "{path:?} is not what the code prints: run with UPDATE_DOCS=1"
        );
    }
}
