//! `${VAR}` and `${VAR:-default}` in a text; `$${` stands for `${`.
//!
//! Values are put in once: what a variable holds is not looked through again.

use crate::diagnostic::Span;
use crate::source::Environment;
use crate::suggest::nearest;

/// Bytes that variables may add to a document, all together.
pub(crate) const SUBSTITUTED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A text with its variables put in.
pub(crate) struct Replaced {
    pub(crate) text: String,
    /// A variable was put in (an escape alone changes nothing about the text's type).
    pub(crate) changed: bool,
}

/// A variable that could not be put in.
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// The text from `${` on, as it stands in the value.
    expression: String,
    /// How many times the same expression comes before it in this value.
    occurrence: usize,
}

/// The variables of one document, with what they may still add to it.
pub(crate) struct Variables<'a> {
    environment: &'a Environment,
    bytes_left: usize,
}

impl<'a> Variables<'a> {
    pub(crate) fn new(environment: &'a Environment) -> Variables<'a> {
        Variables {
            environment,
            bytes_left: SUBSTITUTED_BYTES_MAX,
        }
    }

    /// Puts variables into a text; what cannot be put in is left out and reported.
    pub(crate) fn substitute(&mut self, text: &str) -> (Replaced, Vec<Problem>) {
        let mut replaced = Replaced {
            text: String::with_capacity(text.len()),
            changed: false,
        };
        let mut problems = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                replaced.text.push_str(&rest[..at - 1]);
                replaced.text.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            replaced.text.push_str(&rest[..at]);
            let expression = match rest[at..].find('}') {
                Some(end) => &rest[at..=at + end],
                None => &rest[at..],
            };
            replaced.changed = true;
            match self.value(expression) {
                Ok(value) => replaced.text.push_str(&value),
                Err((message, help)) => {
                    let before = &text[..text.len() - rest.len() + at];
                    let occurrence = before.matches(expression).count();
                    problems.push(Problem {
                        message,
                        help,
                        expression: expression.to_owned(),
                        occurrence,
                    });
                }
            }
            rest = &rest[at + expression.len()..];
        }
        replaced.text.push_str(rest);
        (replaced, problems)
    }

    fn value(&mut self, expression: &str) -> Result<String, (String, Option<String>)> {
        let Some(inner) = expression
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
        else {
            return Err(("`${` without `}`".into(), Some(ESCAPE_HELP.into())));
        };
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            return Err((
                format!("`{name}` is not the name of a variable"),
                Some(ESCAPE_HELP.into()),
            ));
        }
        let value = match (self.environment.variable(name), default) {
            (Some(value), None) => value,
            (Some(value), Some(_)) if !value.is_empty() => value,
            (_, Some(default)) => default.to_owned(),
            (None, None) => {
                let help = match nearest(name, self.environment.names()) {
                    Some(near) => format!("did you mean `${{{near}}}`?"),
                    None => format!("set it, or give a default: `${{{name}:-default}}`"),
                };
                return Err((format!("the variable `{name}` is not set"), Some(help)));
            }
        };
        match self.bytes_left.checked_sub(value.len()) {
            Some(left) => self.bytes_left = left,
            None => {
                return Err((
                    format!("variables add more than {SUBSTITUTED_BYTES_MAX} bytes"),
                    None,
                ));
            }
        }
        Ok(value)
    }
}

const ESCAPE_HELP: &str = "write `$${` where a literal `${` is meant";

/// Where a problem stands: inside the value's raw text if it is found there, else the whole value.
pub(crate) fn place(raw: &str, whole: Span, problem: &Problem) -> Span {
    let Some((at, _)) = raw
        .match_indices(problem.expression.as_str())
        .nth(problem.occurrence)
    else {
        return whole;
    };
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let before = &raw[..at];
    let length = number(problem.expression.chars().count());
    match before.rsplit_once('\n') {
        None => Span {
            column: whole.column + number(before.chars().count()),
            length,
            ..whole
        },
        Some((lines, last)) => Span {
            line: whole.line + 1 + number(lines.matches('\n').count()),
            column: 1 + number(last.chars().count()),
            length,
            ..whole
        },
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
