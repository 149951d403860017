//! What the configuration has the span of a request say.

use super::super::edits::Known;
use super::{Record, TraceScene};
use crate::snapshot::RouteTracing;
use outrigger_config::model::HeaderValue;

/// Name and attributes, where the configuration has something to say of them that is not empty.
#[derive(Default)]
pub(super) struct Told {
    pub(super) name: Option<String>,
    pub(super) attributes: Vec<(String, String)>,
}

impl Record {
    /// Puts it together: of the head as policies were asked about it, so that edits change nothing of it.
    pub(super) fn told(&self, scene: &TraceScene<'_>) -> Told {
        let config = &scene.policy.config;
        let own_name = match scene.changes {
            Some(RouteTracing::Changed { span_name, .. }) => span_name.as_ref(),
            Some(RouteTracing::Off) | None => None,
        };
        let known = Known {
            ends: scene.ends,
            taken: None,
            record: self,
            matched_path: None,
        };
        let text = |value: &HeaderValue| {
            let value = known.told(value, scene.asked);
            String::from_utf8_lossy(&value).into_owned()
        };
        let attributes = config.attributes().iter();
        let attributes = attributes.map(|(key, value)| (key.clone(), text(value)));
        Told {
            name: own_name
                .or(config.span_name().as_ref())
                .map(text)
                .filter(|name| !name.is_empty()),
            attributes: attributes.filter(|(_, value)| !value.is_empty()).collect(),
        }
    }
}
