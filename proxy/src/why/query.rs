//! What is asked for.

use super::scene::Scene;
use outrigger_telemetry::recorder::Recorded;
use outrigger_telemetry::{ResponseFlags, grpc_status};
use serde::Deserialize;
use std::borrow::Cow;

/// Bytes of a request's id that are recorded.
const REQUEST_ID_BYTES_MAX: usize = 64;
/// What is told of at most where nothing else is asked for.
const LIMIT: usize = 10;
/// What can be asked for at most.
const LIMIT_MAX: usize = 1000;

/// Which requests and connections are meant: all conditions must hold. The newest are told of.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct WhyQuery {
    /// The value of `x-request-id`.
    pub(crate) request_id: Option<String>,
    /// 32 hexadecimal digits.
    pub(crate) trace_id: Option<String>,
    /// Only what ended in an error or was refused; the last one unless `limit` says otherwise.
    pub(crate) last_error: Option<String>,
    /// The name of the route.
    pub(crate) route: Option<String>,
    /// The status that was sent.
    pub(crate) status: Option<u16>,
    /// The status of a call of gRPC: its number or its name.
    pub(crate) grpc_status: Option<String>,
    /// The name of the cluster.
    pub(crate) cluster: Option<String>,
    /// A response flag, as in `UF`.
    pub(crate) flag: Option<String>,
    pub(crate) limit: Option<usize>,
    /// `text` or `json`.
    pub(crate) format: Option<Format>,
}

/// In which form is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// Sentences.
    #[default]
    Text,
    /// All that is known, and the sentences.
    Json,
}

impl WhyQuery {
    /// What is wrong with it, and what would be right.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(id) = &self.trace_id
            && trace_id(id).is_none()
        {
            return Err(format!(
                "trace-id: `{}` is no trace's id: expected 32 hexadecimal digits",
                id.escape_debug()
            ));
        }
        if let Some(status) = &self.grpc_status
            && grpc_status::parse(status).is_none()
        {
            return Err(format!(
                "grpc-status: `{}` is no status of gRPC: expected its name, as in UNAVAILABLE, or its number",
                status.escape_debug()
            ));
        }
        if let Some(flag) = &self.flag
            && !ResponseFlags::NAMES.contains(&flag.as_str())
        {
            return Err(format!(
                "flag: there is no flag `{}`: expected one of {}",
                flag.escape_debug(),
                ResponseFlags::NAMES.join(", ")
            ));
        }
        if let Some(limit) = self.limit
            && !(1..=LIMIT_MAX).contains(&limit)
        {
            return Err(format!("limit: expected 1 to {LIMIT_MAX}, found {limit}"));
        }
        Ok(())
    }

    pub(super) fn limit(&self) -> usize {
        let usual = if self.last_error.is_some() { 1 } else { LIMIT };
        self.limit.unwrap_or(usual)
    }

    /// True if this is what is asked for.
    pub(super) fn takes(&self, scene: &Scene<'_>) -> bool {
        let is = |wanted: &Option<String>, name: Option<&str>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| name.is_some_and(|name| name == wanted))
        };
        self.takes_but_for_names(scene.told)
            && is(&self.route, scene.route.map(|route| route.name().as_str()))
            && is(&self.cluster, scene.cluster_name.map(|name| name.as_str()))
    }

    /// True if this may be what is asked for, and what its route or its cluster is called cannot be told any more.
    pub(super) fn needs_legend(&self, scene: &Scene<'_>) -> bool {
        let told = scene.told;
        scene.legend.is_none()
            && (self.route.is_some() || self.cluster.is_some())
            && (self.route.is_none() || told.route.is_some())
            && (self.cluster.is_none() || told.cluster.is_some())
            && self.takes_but_for_names(told)
    }

    fn takes_but_for_names(&self, told: &Recorded) -> bool {
        let id = self.request_id.as_deref().map(recorded_part);
        id.is_none_or(|id| told.request_id == *id)
            && self
                .trace_id
                .as_deref()
                .is_none_or(|id| told.trace_id.is_some() && told.trace_id == trace_id(id))
            && (self.last_error.is_none() || told.is_error())
            && self.status.is_none_or(|status| told.status == status)
            && self.grpc_status.as_deref().is_none_or(|status| {
                told.grpc_status.is_some() && told.grpc_status == grpc_status::parse(status)
            })
            && self
                .flag
                .as_deref()
                .is_none_or(|flag| told.flags.names().any(|name| name == flag))
    }
}

/// An id as far as it is recorded, and as it is read: bytes are cut, and what is left of a character is replaced.
fn recorded_part(id: &str) -> Cow<'_, str> {
    String::from_utf8_lossy(&id.as_bytes()[..id.len().min(REQUEST_ID_BYTES_MAX)])
}

fn trace_id(text: &str) -> Option<u128> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_would_be_right() {
        let query = |change: fn(&mut WhyQuery)| {
            let mut query = WhyQuery::default();
            change(&mut query);
            query.check()
        };
        assert_eq!(query(|_| {}), Ok(()));
        let wrong = [
            (
                query(|query| query.trace_id = Some("+1".into())),
                "32 hexadecimal digits",
            ),
            (
                query(|query| query.grpc_status = Some("LOST".into())),
                "as in UNAVAILABLE",
            ),
            (query(|query| query.flag = Some("uf".into())), "UH, UF"),
            (query(|query| query.limit = Some(0)), "1 to 1000"),
            (query(|query| query.limit = Some(1001)), "1 to 1000"),
        ];
        for (refused, right) in wrong {
            assert!(
                refused.as_ref().is_err_and(|why| why.contains(right)),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn ids_are_compared_as_far_as_they_are_recorded() {
        assert_eq!(recorded_part("abc"), "abc");
        assert_eq!(recorded_part(&"a".repeat(70)), "a".repeat(64));
        assert_eq!(recorded_part(&"ä".repeat(70)), "ä".repeat(32));
        let cut = format!("a{}\u{fffd}", "ä".repeat(31));
        assert_eq!(recorded_part(&format!("a{}", "ä".repeat(70))), cut);
    }
}
