//! Path templates: what their variables took of a path, and the path that another template makes of it.
//!
//! A variable takes a whole segment as it stands in the normalized path: escapes are neither decoded nor added, so
//! that what is put into another path is again a segment, and what is put into a header holds no control characters.

use outrigger_config::model::{PathTemplate, TemplateSegment};

/// The variables of a template and what they took of `path`, which the template has matched. Of a path that it has not
/// matched, as many as there are segments for.
pub fn variables<'a>(template: &'a PathTemplate, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let segments = path.strip_prefix('/').unwrap_or(path).split('/');
    template
        .segments()
        .iter()
        .zip(segments)
        .filter_map(|(segment, taken)| match segment {
            TemplateSegment::Variable(name) => Some((name.as_str(), taken)),
            TemplateSegment::Literal(_) => None,
        })
}

/// What the variable `name` took of `path`; none if the template has no such variable.
pub fn variable<'a>(template: &'a PathTemplate, path: &'a str, name: &str) -> Option<&'a str> {
    variables(template, path)
        .find(|(variable, _)| *variable == name)
        .map(|(_, taken)| taken)
}

/// The path that `template` makes of what the variables of `matched` took of `path`.
pub(crate) fn expand(template: &PathTemplate, matched: &PathTemplate, path: &str) -> String {
    let mut expanded = String::with_capacity(template.source().len() + path.len());
    for segment in template.segments() {
        expanded.push('/');
        expanded.push_str(match segment {
            TemplateSegment::Literal(text) => text,
            TemplateSegment::Variable(name) => variable(matched, path, name).unwrap_or_default(),
        });
    }
    expanded
}
