//! The members of a JSON format as attributes of a record of OpenTelemetry's logs.

use super::JsonTemplate;
use super::json::{in_key, refuse_twins};
use super::omitting::{Node, number_pieces, push_pieces};
use crate::access_log::operator::{FormatError, FormatOptions, Operator, Piece, Value, parse};
use crate::access_log::record::RequestRecord;
use crate::trace::AttributeValue;
use std::borrow::Cow;

/// Bytes of an attribute's text at most: what is longer is cut.
const TEXT_BYTES_MAX: usize = 4_096;

/// Members of a JSON format, those within others by `outer.inner`. What is missing has no attribute.
#[derive(Debug, Clone, Default)]
pub struct LogAttributes(Vec<(Cow<'static, str>, Source)>);

/// What an attribute is made of.
#[derive(Debug, Clone)]
enum Source {
    /// A number or a text.
    Value(Operator),
    Text(Vec<Piece>),
    /// A list, which attributes have none of: it is told as JSON.
    Json(Node),
}

impl LogAttributes {
    /// Those of [`super::AccessLogFormat::default_json`].
    pub fn default_json(options: FormatOptions<'_>) -> LogAttributes {
        LogAttributes::json(&super::default_members(), options).expect("a test reads with it")
    }

    /// Those of a JSON format.
    ///
    /// # Errors
    /// The first fault, with its key.
    pub fn json(
        members: &[(String, JsonTemplate)],
        options: FormatOptions<'_>,
    ) -> Result<LogAttributes, FormatError> {
        let mut attributes = LogAttributes::default();
        attributes.add("", members, options)?;
        Ok(attributes)
    }

    fn add(
        &mut self,
        outer: &str,
        members: &[(String, JsonTemplate)],
        options: FormatOptions<'_>,
    ) -> Result<(), FormatError> {
        refuse_twins(members)?;
        for (key, template) in members {
            let name = match outer {
                "" => key.clone(),
                outer => format!("{outer}.{key}"),
            };
            match template {
                JsonTemplate::Object(inner) => self.add(&name, inner, options)?,
                template => {
                    let source = Source::of(template, options).map_err(|fault| in_key(key, fault))?;
                    self.0.push((name.into(), source));
                }
            }
        }
        Ok(())
    }

    /// Looks headers up by number from now on, as [`super::AccessLogFormat::number_names`].
    #[must_use]
    pub fn number_names(mut self, number_of: impl Fn(&str) -> Option<u8>) -> LogAttributes {
        for (_, source) in &mut self.0 {
            match source {
                Source::Value(operator) => operator.number_names(&number_of),
                Source::Text(pieces) => number_pieces(pieces, &number_of),
                Source::Json(node) => node.number_names(&number_of),
            }
        }
        self
    }

    /// The attributes of `record`.
    pub fn of(&self, record: &RequestRecord<'_>) -> Vec<(Cow<'static, str>, AttributeValue)> {
        let attribute =
            |(name, source): &(Cow<'static, str>, Source)| Some((name.clone(), source.read(record)?));
        self.0.iter().filter_map(attribute).collect()
    }
}

impl Source {
    fn of(template: &JsonTemplate, options: FormatOptions<'_>) -> Result<Source, FormatError> {
        let JsonTemplate::Text(text) = template else {
            return Ok(Source::Json(Node::of(template, options)?));
        };
        let pieces = parse(text, options)?;
        Ok(match pieces.as_slice() {
            [Piece::Operator(operator)] => Source::Value(operator.clone()),
            _ => Source::Text(pieces),
        })
    }

    fn read(&self, record: &RequestRecord<'_>) -> Option<AttributeValue> {
        let mut text = Vec::new();
        match self {
            Source::Value(operator) => match operator.value(record) {
                Value::Missing => return None,
                Value::Number(number) => {
                    return Some(AttributeValue::Integer(i64::try_from(number).unwrap_or(i64::MAX)));
                }
                Value::Text(value) => return Some(cut(&value)),
            },
            Source::Text(pieces) => push_pieces(pieces, record, &mut text, |value, out| {
                out.extend_from_slice(value)
            }),
            Source::Json(node) => {
                node.push(record, &mut text);
            }
        }
        (!text.is_empty()).then(|| cut(&text))
    }
}

fn cut(bytes: &[u8]) -> AttributeValue {
    let text = String::from_utf8_lossy(bytes);
    AttributeValue::from(text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned())
}
