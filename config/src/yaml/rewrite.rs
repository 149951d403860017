//! The path that is sent in place of the one that came.

use super::reader::{Fields, Reader, quoted};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::REGEX_REWRITE;
use super::template;
use super::tree::Node;
use crate::model::{PathMatch, PathRewrite, PathTemplate, RegexRewrite, RouteMatch};
use regex::Regex;

/// What of a path a route's match knows, as far as rewrites need it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Matched<'a> {
    /// A prefix, or the whole path.
    Prefix,
    Template(&'a PathTemplate),
    Regex,
    /// There is no path.
    Connect,
    /// The match is wrong itself.
    Unknown,
}

impl<'a> From<&'a RouteMatch> for Matched<'a> {
    fn from(matches: &'a RouteMatch) -> Matched<'a> {
        match &matches.path {
            _ if matches.connect => Matched::Connect,
            PathMatch::Exact(_) | PathMatch::Prefix(_) | PathMatch::StringPrefix(_) => Matched::Prefix,
            PathMatch::Template(template) => Matched::Template(template),
            PathMatch::Regex(_) => Matched::Regex,
        }
    }
}

impl Matched<'_> {
    /// Whether what is matched has a variable of this name, and what to do if it has not.
    pub(super) fn variable(self, name: &str) -> Result<(), Problem> {
        let template = match self {
            Matched::Unknown => return Ok(()),
            Matched::Template(template) => template,
            Matched::Prefix | Matched::Regex | Matched::Connect => {
                return problem_with_help(
                    format!("this route has no variable `{{{name}}}`"),
                    "match by `template`, such as `/a/{id}`",
                );
            }
        };
        let names: Vec<&str> = template.variables().collect();
        if names.contains(&name) {
            return Ok(());
        }
        let help = format!("it has {}", quoted(&names));
        problem_with_help(format!("the route's template has no variable `{name}`"), help)
    }
}

/// The rewrite in the fields `prefix_rewrite`, `regex_rewrite` and `template_rewrite`, of which at most one is given.
pub(super) fn path_rewrite(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    matched: Matched<'_>,
) -> Option<PathRewrite> {
    let prefix = fields.parsed(reader, "prefix_rewrite", scalar::path);
    let what = match matched {
        Matched::Template(_) => Some("template"),
        Matched::Regex => Some("regex"),
        Matched::Prefix | Matched::Connect | Matched::Unknown => None,
    };
    if let (Some(what), true) = (what, fields.entry("prefix_rewrite").is_some()) {
        let message =
            format!("`prefix_rewrite` on a route that matches by `{what}`: there is no prefix to replace");
        let help = "use `regex_rewrite`, or match by `prefix` or `path`";
        reader.fault_with_help(fields.key_span_of("prefix_rewrite"), message, help);
    }
    for name in ["prefix_rewrite", "regex_rewrite", "template_rewrite"] {
        if matched == Matched::Connect && fields.entry(name).is_some() {
            let message = format!("`{name}` on a route that takes CONNECT requests, which have no path");
            reader.fault_with_help(fields.key_span_of(name), message, "remove it");
        }
    }
    let regex = fields
        .node(reader, "regex_rewrite")
        .and_then(|node| regex_rewrite(reader, node));
    let template = template_rewrite(reader, fields, matched);
    prefix
        .map(PathRewrite::Prefix)
        .or(regex.map(PathRewrite::Regex))
        .or(template.map(PathRewrite::Template))
}

fn regex_rewrite(reader: &mut Reader<'_>, node: &Node) -> Option<RegexRewrite> {
    let fields = reader.fields(node, &REGEX_REWRITE)?;
    let pattern = fields.parsed(reader, "pattern", |text| match text {
        "" => problem("an empty pattern matches everywhere"),
        _ => Ok((text.to_owned(), scalar::regex(text)?)),
    });
    let groups = pattern
        .as_ref()
        .map(|(_, regex): &(String, Regex)| regex.captures_len() - 1);
    let substitution = fields.parsed(reader, "substitution", |text| substitution(text, groups));
    let (source, regex) = pattern?;
    Some(RegexRewrite {
        source,
        regex,
        substitution: substitution?,
    })
}

/// `\1` for a group and `\\` for a backslash, to the syntax of the regex crate.
fn substitution(text: &str, groups: Option<usize>) -> Result<String, Problem> {
    if text.len() > 4096 || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['?', '#']) {
        return problem_with_help(
            "a substitution is at most 4096 visible ASCII characters, without `?` and `#`",
            "percent-encode the rest",
        );
    }
    let mut result = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '$' => result.push_str("$$"),
            '\\' => match letters.next() {
                Some('\\') => result.push('\\'),
                Some(digit) if digit.is_ascii_digit() => {
                    let group = digit as usize - '0' as usize;
                    if groups.is_some_and(|groups| group > groups) {
                        return problem(format!("the pattern has no group {group}"));
                    }
                    result.push_str(&format!("${{{group}}}"));
                }
                _ => {
                    return problem_with_help(
                        "`\\` is not followed by a digit or `\\`",
                        "a literal `\\` is `\\\\`",
                    );
                }
            },
            other => result.push(other),
        }
    }
    Ok(result)
}

fn template_rewrite(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    matched: Matched<'_>,
) -> Option<PathTemplate> {
    let what = match matched {
        Matched::Prefix => Some("`path`, `prefix`, `string_prefix` or `grpc`"),
        Matched::Regex => Some("`regex`"),
        Matched::Template(_) | Matched::Connect | Matched::Unknown => None,
    };
    if let (Some(what), true) = (what, fields.entry("template_rewrite").is_some()) {
        let message = format!("`template_rewrite` on a route that matches by {what}: there are no variables");
        let help = "use another rewrite, or match by `template`";
        reader.fault_with_help(fields.key_span_of("template_rewrite"), message, help);
        fields.text(reader, "template_rewrite")?;
        return None;
    }
    fields.parsed(reader, "template_rewrite", |text| {
        let template = template::parse(text)?;
        if matched == Matched::Connect {
            return Ok(template);
        }
        for name in template.variables() {
            matched.variable(name)?;
        }
        Ok(template)
    })
}
