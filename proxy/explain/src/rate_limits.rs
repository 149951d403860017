//! Which rate limits apply to a request, in the order in which they are asked, and what it is counted by.

use super::{View, line};
use outrigger_config::MeshConfig;
use outrigger_config::model::{
    DescriptorPart, DescriptorSource, Name, RateLimit, RateLimitCounting, Route, VirtualHost,
};
use outrigger_traffic::RequestView;
use std::sync::Arc;

/// Describes the limits of these names, each once: those that this process counts first.
pub(super) fn describe<'n>(
    text: &mut String,
    config: &MeshConfig,
    names: impl Iterator<Item = &'n Name>,
    of_request: Option<(&VirtualHost, &Route, &View<'_>)>,
) {
    let mut limits: Vec<&Arc<RateLimit>> = Vec::new();
    for name in names {
        let mut named = config.rate_limits().iter().filter(|limit| limit.name() == name);
        if let Some(limit) = named.next()
            && !limits.iter().any(|other| other.name() == name)
        {
            limits.push(limit);
        }
    }
    limits.sort_by_key(|limit| matches!(limit.counting(), RateLimitCounting::Global(_)));
    for limit in limits {
        let shadow = if limit.shadow() { " (shadow)" } else { "" };
        let by = counted_by(limit, of_request);
        let name = limit.name();
        match limit.counting() {
            RateLimitCounting::Local(local) => {
                let bucket = local.bucket();
                line(
                    text,
                    format_args!(
                        "rate limit `{name}`{shadow}: {} in {:?}, at most {} at once, {by}",
                        bucket.requests(),
                        bucket.interval(),
                        bucket.burst()
                    ),
                );
            }
            RateLimitCounting::Global(global) => line(
                text,
                format_args!(
                    "rate limit `{name}`{shadow}: the service in cluster `{}` is asked for domain `{}`, {by}",
                    global.cluster(),
                    global.domain()
                ),
            ),
        }
    }
}

fn counted_by(limit: &RateLimit, of_request: Option<(&VirtualHost, &Route, &View<'_>)>) -> String {
    let lists: Vec<String> = limit
        .descriptors()
        .iter()
        .filter(|parts| !parts.is_empty())
        .map(|parts| {
            let parts = parts.iter().map(|part| shown(part, of_request));
            parts.collect::<Vec<_>>().join(", ")
        })
        .collect();
    if lists.is_empty() {
        "all requests together".to_owned()
    } else {
        format!("by {}", lists.join(" and by "))
    }
}

/// A part with its value, where the question tells it.
fn shown(part: &DescriptorPart, of_request: Option<(&VirtualHost, &Route, &View<'_>)>) -> String {
    let key = part.key();
    if let DescriptorSource::Constant(value) = part.source() {
        return format!("{key}={value}");
    }
    let Some((virtual_host, route, view)) = of_request else {
        return match part.source().needs_request() {
            true => format!("{key} (lacking on a connection)"),
            false => key.to_owned(),
        };
    };
    let value = match part.source() {
        DescriptorSource::Method => view.method().to_owned(),
        DescriptorSource::Host => view.host().to_owned(),
        DescriptorSource::Path => view.path().to_owned(),
        DescriptorSource::Route => route.name().to_string(),
        DescriptorSource::VirtualHost => virtual_host.name().to_string(),
        DescriptorSource::Header(name) => match view.header(name.as_str(), &mut Vec::new()) {
            Some(value) => String::from_utf8_lossy(value).into_owned(),
            None => return format!("{key} (lacking: the limit does not count this)"),
        },
        _ => return key.to_owned(),
    };
    format!("{key}={value}")
}
