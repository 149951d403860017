//! Path templates.

use super::scalar::{self, Problem, problem, problem_with_help};
use crate::model::{PathTemplate, TemplateSegment};
use std::collections::HashSet;

/// A template that paths are matched by: it has variables, and none stands twice.
pub(super) fn matching(text: &str) -> Result<PathTemplate, Problem> {
    let template = parse(text)?;
    let mut names = HashSet::new();
    if let Some(name) = template.variables().find(|name| !names.insert(*name)) {
        return problem(format!("the variable `{{{name}}}` stands twice"));
    }
    if names.is_empty() {
        return problem_with_help("this template has no variable", format!("write `path: {text}`"));
    }
    Ok(template)
}

/// A template that paths are rewritten to: `/a/{id}/b`, segments that are texts or `{name}`.
pub(super) fn parse(text: &str) -> Result<PathTemplate, Problem> {
    if !text.starts_with('/') {
        return scalar::path(text).and_then(|_| problem("a template begins with `/`"));
    }
    let mut segments = Vec::new();
    for segment in text[1..].split('/') {
        if !segment.contains(['{', '}']) {
            scalar::path(&format!("/{segment}"))?;
            segments.push(TemplateSegment::Literal(segment.to_owned()));
            continue;
        }
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(name) = name.filter(|name| !name.contains(['{', '}'])) else {
            let message = format!("`{}` is not a segment of a template", scalar::shortened(segment));
            return problem_with_help(message, "a variable takes a whole segment: `/a/{id}/b`");
        };
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            let message = format!(
                "`{{{}}}` has no name of letters, digits and `_`",
                scalar::shortened(name)
            );
            return problem_with_help(message, "such as `{id}`");
        }
        segments.push(TemplateSegment::Variable(name.to_owned()));
    }
    if segments.len() > 64 || text.len() > 4096 {
        return problem("a template has at most 64 segments and 4096 bytes");
    }
    Ok(PathTemplate {
        source: text.to_owned(),
        segments,
    })
}
