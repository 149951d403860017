//! What is wrong with a document, and where.
//!
//! A [`Diagnostic`] carries the line it points at, so that it can be shown without the document at hand. This module
//! renders plain text: no colour, no terminal escapes, and none that come from the document.

use crate::model::Origin;
use crate::receipt::{Code, Place};
use crate::yaml::secrets::Secrets;
use std::fmt;
use std::sync::Arc;

/// Characters of a source line that are shown at most; longer lines are cut around the place in question.
const SNIPPET_CHARACTERS_MAX: usize = 120;

/// Whether a diagnostic forbids the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is accepted, but probably not what was meant.
    Warning,
}

/// A place in a document: a line and a column, both counted from 1, and a number of characters. In a document that was
/// not written as text the column is 0 and the line the number of a path (see [`crate::document`]); 0: nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    /// Which of the reader's documents, counted from 0.
    pub(crate) document: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

impl Span {
    /// The place of a path by its number, counted from 1.
    pub(crate) fn of_path(number: usize) -> Span {
        Span {
            line: u32::try_from(number).unwrap_or(u32::MAX),
            ..Span::default()
        }
    }
    /// The number of the path, if this is one's place.
    pub(crate) fn path(self) -> Option<usize> {
        (self.column == 0 && self.line > 0).then_some(self.line as usize)
    }
}

/// One thing that is wrong, or looks wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) code: Option<Code>,
    pub(crate) message: String,
    pub(crate) part: Option<Arc<str>>,
    pub(crate) field: Option<Arc<str>>,
    pub(crate) file: Arc<str>,
    pub(crate) span: Span,
    pub(crate) path: Option<Arc<str>>,
    pub(crate) help: Option<String>,
    pub(crate) snippet: String,
}

impl Diagnostic {
    /// A remark on a part that was read before.
    pub(crate) fn remark(code: Code, place: Place<'_>, message: String, help: String) -> Diagnostic {
        let Origin {
            file,
            line,
            column,
            path,
        } = place.origin;
        Diagnostic {
            severity: Severity::Warning,
            code: Some(code),
            message,
            part: Some(format!("{} `{}`", place.what, place.name).into()),
            field: (!place.field.is_empty()).then(|| place.field.into()),
            file: file.clone().unwrap_or_default(),
            span: Span {
                line: *line,
                column: *column,
                length: 1,
                ..Span::default()
            },
            path: path.clone(),
            help: Some(help),
            snippet: String::new(),
        }
    }

    /// It may be otherwise where the same part is used by others.
    pub(crate) fn depends_on_use(&self) -> bool {
        self.code.is_some_and(Code::depends_on_use)
    }

    /// By which remarks on several documents are sorted.
    pub(crate) fn order(&self) -> impl Ord + '_ {
        (
            &self.file,
            self.line(),
            self.span.column,
            &self.path,
            self.code,
            &self.field,
        )
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.severity
    }
    /// What kind of remark a warning is; errors have none.
    pub fn code(&self) -> Option<Code> {
        self.code
    }
    /// The part that a warning is about, by its kind and name (``cluster `backend` ``), where it is about one.
    pub fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }
    /// The field of that part that is meant, where the place is the part's: `retry.per_try_timeout`.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }
    /// The document's name: a file, or a resource.
    pub fn file(&self) -> &str {
        &self.file
    }
    /// The field that is meant, where the document is a resource and no text; lines and columns are 0 then.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
    /// The line, counted from 1.
    pub fn line(&self) -> u32 {
        if self.path.is_some() { 0 } else { self.span.line }
    }
    /// The column in characters, counted from 1.
    pub fn column(&self) -> u32 {
        self.span.column
    }
    /// How many characters are meant; at least 1.
    pub fn length(&self) -> u32 {
        self.span.length.max(1)
    }
    /// What to do about it, if that is known.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
    /// The line that it points at, whole, without private keys; empty where the document is a resource.
    pub fn snippet(&self) -> &str {
        &self.snippet
    }
    /// The diagnostic as text, with the line of `source_text` that it points at. Private keys in it are hidden.
    pub fn render(&self, source_text: &str) -> String {
        let mut text = String::new();
        if self.path.is_some() {
            return self.to_string();
        }
        let before = self.span.line.saturating_sub(1) as usize;
        let line = source_text.lines().nth(before).unwrap_or_default();
        let at = source_text.split_inclusive('\n').take(before).map(str::len).sum();
        // Writing to a `String` cannot fail.
        let _ = self.write(&mut text, &Secrets::find(source_text).hide(line, at));
        text
    }

    fn write(&self, out: &mut dyn fmt::Write, line: &str) -> fmt::Result {
        let code = self.code.map(|code| format!("[{code}]")).unwrap_or_default();
        let severity = match self.severity {
            Severity::Error => format!("error{code}"),
            Severity::Warning => format!("warning{code}"),
        };
        if let Some(path) = &self.path {
            writeln!(out, "{severity}: {}", printable(&self.message))?;
            writeln!(out, " --> {}", printable(&placed(&self.file, path)))?;
            return match &self.help {
                Some(help) => writeln!(out, "  = help: {}", printable(help)),
                None => Ok(()),
            };
        }
        if self.span.line == 0 {
            // It was not written anywhere.
            writeln!(out, "{severity}: {}", printable(&self.message))?;
            return match &self.help {
                Some(help) => writeln!(out, "  = help: {}", printable(help)),
                None => Ok(()),
            };
        }
        let gutter = " ".repeat(self.span.line.to_string().len());
        writeln!(out, "{severity}: {}", printable(&self.message))?;
        writeln!(
            out,
            "{gutter}--> {}:{}:{}",
            self.file, self.span.line, self.span.column
        )?;
        writeln!(out, "{gutter} |")?;
        let (snippet, indent) = cut(line, self.span.column.saturating_sub(1) as usize);
        writeln!(out, "{} | {snippet}", self.span.line)?;
        let carets = (self.length() as usize).clamp(1, snippet.chars().count().saturating_sub(indent).max(1));
        writeln!(out, "{gutter} | {}{}", " ".repeat(indent), "^".repeat(carets))?;
        match &self.help {
            Some(help) => writeln!(out, "{gutter} = help: {}", printable(help)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &self.snippet)
    }
}

/// Every fault of one document, in the order of the document; no warnings. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(pub(crate) Vec<Diagnostic>);

impl Diagnostics {
    /// The diagnostics, in the order of the document.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Never true for what [`crate::load`] returns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The diagnostics by value.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A resource, and a field of it.
pub(crate) fn placed(resource: &str, path: &str) -> String {
    match path {
        "" => resource.to_owned(),
        path => format!("{resource}: {path}"),
    }
}

/// The part of a line that is shown, and the column (from 0) of the place in it.
fn cut(line: &str, column: usize) -> (String, usize) {
    let start = if column < SNIPPET_CHARACTERS_MAX - 20 {
        0
    } else {
        column - SNIPPET_CHARACTERS_MAX / 2
    };
    let shown: String = line
        .chars()
        .skip(start)
        .take(SNIPPET_CHARACTERS_MAX)
        .map(visible)
        .collect();
    (shown, column - start)
}

/// One character for one character, so that columns stay true; nothing that a terminal would obey.
fn visible(character: char) -> char {
    if character == '\t' {
        ' '
    } else if character.is_control() {
        '\u{fffd}'
    } else {
        character
    }
}

fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(column: u32, length: u32) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: None,
            part: None,
            field: None,
            message: "bad \u{1b}[31m value".into(),
            file: "a.yaml".into(),
            span: Span {
                document: 0,
                line: 12,
                column,
                length,
            },
            path: None,
            help: Some("write another".into()),
            snippet: "\tname: x\u{7}y".into(),
        }
    }

    #[test]
    fn renders_the_place_and_no_control_characters() {
        let expected = "error: bad \u{fffd}[31m value\n  --> a.yaml:12:8\n   |\n12 |  name: x\u{fffd}y\n   |        ^^^\n   = help: write another\n";
        assert_eq!(diagnostic(8, 3).to_string(), expected);
    }

    #[test]
    fn cuts_long_lines_around_the_place_and_bounds_the_carets() {
        let mut long = diagnostic(5001, 4000);
        long.snippet = "x".repeat(9000);
        let text = long.to_string();
        assert!(text.lines().all(|line| line.chars().count() < 140), "{text}");
        assert!(text.contains('^'));
        assert_eq!(
            long.render("only one line"),
            long.render(""),
            "a line that is not there renders as empty"
        );
    }
}
