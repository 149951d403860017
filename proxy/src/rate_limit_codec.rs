//! Questions to rate limit services, and their answers, in the protobuf of `envoy.service.ratelimit.v3`.
//!
//! What an answer means is decided here; whether the headers that it wants may be written, in the data plane. Quotas that a
//! service would have proxies keep (`quota`) are not kept: each request is asked about.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use outrigger_dataplane::external_authorization::{HeaderChange, HeaderChangeKind};
use outrigger_dataplane::rate_limit::{
    NoRateLimitResponse, Quota, RateLimitAnswer, RateLimitCodec, RateLimitQuestion, RateLimitVerdict,
};
use prost::Message;
use std::time::Duration;

/// Speaks the protobuf of Envoy's rate limit service, version 3.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EnvoyRateLimit;

impl RateLimitCodec for EnvoyRateLimit {
    fn encode(&self, question: &RateLimitQuestion<'_>) -> Bytes {
        let descriptors = question.descriptors.iter().map(|parts| {
            let entries = parts.iter().map(|(key, value)| Entry {
                key: (*key).to_owned(),
                // As Envoy: what is no UTF-8 is told as far as it is.
                value: String::from_utf8_lossy(value).into_owned(),
            });
            RateLimitDescriptor {
                entries: entries.collect(),
                ..RateLimitDescriptor::default()
            }
        });
        let request = RateLimitRequest {
            domain: question.domain.to_owned(),
            descriptors: descriptors.collect(),
            hits_addend: 1,
        };
        request.encode_to_vec().into()
    }

    fn decode(&self, answer: &[u8]) -> Result<RateLimitAnswer, NoRateLimitResponse> {
        let response = RateLimitResponse::decode(answer).map_err(|_| NoRateLimitResponse)?;
        let verdict = match response.overall_code() {
            Code::Ok => RateLimitVerdict::WithinLimit,
            Code::OverLimit => RateLimitVerdict::OverLimit,
            Code::Unknown => RateLimitVerdict::Unknown,
        };
        Ok(RateLimitAnswer {
            verdict,
            quotas: response.statuses.into_iter().filter_map(quota).collect(),
            response_headers: changes(response.response_headers_to_add),
            request_headers: changes(response.request_headers_to_add),
            body: response.raw_body.into(),
        })
    }
}

/// A descriptor's quota; none if no limit is told.
fn quota(status: DescriptorStatus) -> Option<Quota> {
    let is_over = status.code() == Code::OverLimit;
    let limit = status.current_limit?;
    let window_seconds = match limit.unit() {
        Unit::Unknown => None,
        Unit::Second => Some(1),
        Unit::Minute => Some(60),
        Unit::Hour => Some(3_600),
        Unit::Day => Some(86_400),
        Unit::Week => Some(7 * 86_400),
        // As Envoy counts them in its headers.
        Unit::Month => Some(30 * 86_400),
        Unit::Year => Some(365 * 86_400),
    };
    let reset = status.duration_until_reset.and_then(|reset| {
        let seconds = u64::try_from(reset.seconds).ok()?;
        let nanoseconds = u32::try_from(reset.nanos).ok()?;
        // More than a second of nanoseconds is no duration of protobuf.
        (nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds))
    });
    Some(Quota {
        is_over,
        name: limit.name,
        requests: limit.requests_per_unit,
        window_seconds,
        left: status.limit_remaining,
        reset,
    })
}

/// Headers, which are added to those that are there.
fn changes(headers: Vec<HeaderValue>) -> Vec<HeaderChange> {
    let change = |header: HeaderValue| HeaderChange {
        kind: HeaderChangeKind::Append,
        name: header.key,
        value: match header.raw_value.is_empty() {
            true => header.value.into_bytes(),
            false => header.raw_value,
        },
    };
    headers.into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::RateLimit;
    use envoy_types::pb::google::protobuf::Duration as ProtoDuration;
    use std::borrow::Cow;

    #[test]
    fn a_question_is_one_hit_of_each_descriptor() {
        let question = RateLimitQuestion {
            domain: "edge",
            descriptors: vec![
                vec![("a", Cow::Borrowed(b"1")), ("b", Cow::Borrowed(b"\xff"))],
                vec![("c", Cow::Borrowed(b""))],
            ],
        };
        let request = RateLimitRequest::decode(EnvoyRateLimit.encode(&question)).unwrap();
        assert_eq!((request.domain.as_str(), request.hits_addend), ("edge", 1));
        let told: Vec<Vec<(&str, &str)>> = request
            .descriptors
            .iter()
            .map(|descriptor| {
                let entries = descriptor.entries.iter();
                entries
                    .map(|entry| (entry.key.as_str(), entry.value.as_str()))
                    .collect()
            })
            .collect();
        assert_eq!(told, [vec![("a", "1"), ("b", "\u{fffd}")], vec![("c", "")]]);
    }

    #[test]
    fn an_answer_says_what_it_says() {
        let limit = |unit: Unit| {
            Some(RateLimit {
                name: "x".into(),
                requests_per_unit: 9,
                unit: unit.into(),
            })
        };
        let status = |unit, seconds, nanos| DescriptorStatus {
            code: Code::OverLimit.into(),
            current_limit: limit(unit),
            limit_remaining: 2,
            duration_until_reset: Some(ProtoDuration { seconds, nanos }),
            ..DescriptorStatus::default()
        };
        let response = RateLimitResponse {
            overall_code: Code::OverLimit.into(),
            statuses: vec![
                status(Unit::Hour, 3, 5),
                status(Unit::Unknown, -1, 0),
                status(Unit::Day, 1, -4),
                DescriptorStatus::default(),
            ],
            raw_body: b"no".to_vec(),
            response_headers_to_add: vec![HeaderValue {
                key: "x".into(),
                raw_value: vec![0xe9],
                ..HeaderValue::default()
            }],
            ..RateLimitResponse::default()
        };
        let answer = EnvoyRateLimit.decode(&response.encode_to_vec()).unwrap();
        assert_eq!(answer.verdict, RateLimitVerdict::OverLimit);
        let quotas: Vec<_> = answer
            .quotas
            .iter()
            .map(|quota| (quota.is_over, quota.window_seconds, quota.left, quota.reset))
            .collect();
        assert_eq!(
            quotas,
            [
                (true, Some(3_600), 2, Some(Duration::new(3, 5))),
                (true, None, 2, None),
                (true, Some(86_400), 2, None)
            ],
            "a status without a limit tells none"
        );
        assert_eq!(
            (&answer.body[..], &answer.response_headers[0].value[..]),
            (&b"no"[..], &b"\xe9"[..])
        );
        assert_eq!(
            EnvoyRateLimit.decode(b"").unwrap().verdict,
            RateLimitVerdict::Unknown,
            "an empty message says nothing"
        );
        assert_eq!(EnvoyRateLimit.decode(b"\x0f\xff"), Err(NoRateLimitResponse));
    }

    #[test]
    fn whatever_comes_is_read_or_refused() {
        let response = RateLimitResponse {
            overall_code: 77,
            statuses: vec![DescriptorStatus {
                code: -5,
                current_limit: Some(RateLimit {
                    name: "x".into(),
                    requests_per_unit: u32::MAX,
                    unit: 99,
                }),
                duration_until_reset: Some(ProtoDuration {
                    seconds: i64::MIN,
                    nanos: i32::MAX,
                }),
                ..DescriptorStatus::default()
            }],
            ..RateLimitResponse::default()
        };
        let whole = response.encode_to_vec();
        assert!(EnvoyRateLimit.decode(&whole).is_ok());
        for index in 0..whole.len() {
            let _ = EnvoyRateLimit.decode(&whole[..index]);
            for byte in 0..=u8::MAX {
                let mut broken = whole.clone();
                broken[index] = byte;
                let _ = EnvoyRateLimit.decode(&broken);
            }
        }
    }
}
