//! What a response tells of rate limits: `x-ratelimit-limit`, `-remaining` and `-reset`, after the third version of the IETF's
//! draft as Envoy writes them, `retry-after`, and `x-envoy-ratelimited`.
//!
//! Of several limits that tell, the one speaks of which the least is left.

use super::super::external_authorization::changes;
use crate::external_authorization::HeaderChange;
use crate::rate_limit::Quota;
use crate::snapshot::RateLimitPolicy;
use outrigger_http1::Fields;
use outrigger_traffic::rate_limit::Reading;
use std::fmt::Write;
use std::time::Duration;

/// What limits that tell have told so far.
#[derive(Debug, Default)]
pub(crate) struct Told(Option<Quotas>);

#[derive(Debug, PartialEq, Eq)]
struct Quotas {
    limit: String,
    left: u32,
    reset_seconds: u64,
}

impl Told {
    /// How a limit of this process stands.
    pub(super) fn local(&mut self, limit: &RateLimitPolicy, reading: Reading) {
        if limit.config.tells_headers() {
            self.add(reading.left, || {
                (reading.limit.to_string(), seconds(reading.wait))
            });
        }
    }

    /// How a service's quotas stand: of the one of which least is left, with the policy of all.
    pub(super) fn service(&mut self, quotas: &[Quota]) {
        let Some(least) = quotas.iter().min_by_key(|quota| quota.left) else {
            return;
        };
        self.add(least.left, || {
            let mut limit = least.requests.to_string();
            for quota in quotas {
                let Some(window) = quota.window_seconds else {
                    continue;
                };
                // Writing to a text does not fail.
                let _ = write!(limit, ", {};w={window}", quota.requests);
                if quota.name.bytes().all(is_quotable) && !quota.name.is_empty() {
                    let _ = write!(limit, ";name=\"{}\"", quota.name);
                }
            }
            (limit, least.reset.map_or(0, |reset| reset.as_secs()))
        });
    }

    fn add(&mut self, left: u32, text: impl FnOnce() -> (String, u64)) {
        if self.0.as_ref().is_none_or(|told| left < told.left) {
            let (limit, reset_seconds) = text();
            self.0 = Some(Quotas {
                limit,
                left,
                reset_seconds,
            });
        }
    }

    /// What is left to tell of a request that goes on.
    pub(super) fn into_limited(self) -> Option<Box<Limited>> {
        self.0.is_some().then(|| {
            Box::new(Limited {
                told: self,
                added: Vec::new(),
                retry_after: None,
            })
        })
    }
}

/// A byte that may stand between quotes as it is.
fn is_quotable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// What is left to tell a request's client.
pub(in crate::pipeline) struct Limited {
    pub(super) told: Told,
    /// Headers that services want added.
    pub(super) added: Vec<HeaderChange>,
    /// It was refused, for so many seconds at least; 0: it is not known for how many.
    pub(super) retry_after: Option<u64>,
}

impl Limited {
    /// That of a request that is refused, and how long it would have to wait.
    pub(super) fn refused(told: Told, wait: Duration) -> Box<Limited> {
        Box::new(Limited {
            told,
            added: Vec::new(),
            retry_after: Some(seconds(wait)),
        })
    }

    /// Nothing yet.
    pub(super) fn nothing() -> Box<Limited> {
        Box::new(Limited {
            told: Told::default(),
            added: Vec::new(),
            retry_after: None,
        })
    }

    /// Writes it.
    #[cold]
    pub(in crate::pipeline) fn finish(&self, fields: &mut Fields) {
        changes::write(fields, &self.added);
        if let Some(told) = &self.told.0 {
            fields.set(b"x-ratelimit-limit", told.limit.as_bytes());
            fields.set(b"x-ratelimit-remaining", told.left.to_string().as_bytes());
            fields.set(b"x-ratelimit-reset", told.reset_seconds.to_string().as_bytes());
        }
        if let Some(wait) = self.retry_after {
            fields.set(b"x-envoy-ratelimited", b"true");
            if wait > 0 && fields.find("retry-after").is_none() {
                fields.set(b"retry-after", wait.to_string().as_bytes());
            }
        }
    }
}

/// Rounded up; of what is less than a microsecond nothing is made.
fn seconds(time: Duration) -> u64 {
    let microseconds = time.as_nanos() / 1_000;
    u64::try_from(microseconds.div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(name: &str, requests: u32, window: Option<u32>, left: u32, reset: u64) -> Quota {
        Quota {
            is_over: left == 0,
            name: name.into(),
            requests,
            window_seconds: window,
            left,
            reset: Some(Duration::from_secs(reset)),
        }
    }

    /// As Envoy's documentation of `enable_x_ratelimit_headers` (`DRAFT_VERSION_03`) has it.
    #[test]
    fn a_services_quotas_are_told_as_envoy_tells_them() {
        let told = |quotas: &[Quota]| {
            let mut told = Told::default();
            told.service(quotas);
            told.0.map(|told| (told.limit, told.left, told.reset_seconds))
        };
        assert_eq!(told(&[]), None);
        assert_eq!(
            told(&[
                quota("per-ip", 10, Some(1), 4, 1),
                quota("", 1000, Some(3600), 3, 77)
            ]),
            Some(("1000, 10;w=1;name=\"per-ip\", 1000;w=3600".into(), 3, 77))
        );
        assert_eq!(
            told(&[quota("a\"b", 5, Some(60), 0, 9)]),
            Some(("5, 5;w=60".into(), 0, 9))
        );
        assert_eq!(told(&[quota("x", 5, None, 1, 9)]), Some(("5".into(), 1, 9)));
    }

    #[test]
    fn the_one_of_which_least_is_left_speaks() {
        let mut told = Told::default();
        for (limit, left) in [("a", 5), ("b", 2), ("c", 2), ("d", 3)] {
            told.add(left, || (limit.to_owned(), 0));
        }
        assert_eq!(told.0.unwrap().limit, "b");
    }

    #[test]
    fn waits_are_rounded_up() {
        for (nanoseconds, wanted) in [
            (0, 0),
            (1, 0),
            (2_000, 1),
            (1_000_000_000, 1),
            (1_000_000_001, 1),
            (1_001_000_000, 2),
        ] {
            assert_eq!(
                seconds(Duration::from_nanos(nanoseconds)),
                wanted,
                "{nanoseconds}"
            );
        }
    }
}
