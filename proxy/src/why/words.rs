//! Short names in plain words: response flags, details, reasons.

use outrigger_telemetry::recorder::Recorded;
use outrigger_telemetry::{ResponseFlags, grpc_status};
use std::fmt::Write;
use std::time::Duration;

/// What each response flag means. In the order of [`ResponseFlags::NAMES`].
const FLAGS: &[(&str, &str)] = &[
    ("UH", "no endpoint of the cluster could be used"),
    ("UF", "no connection to the endpoint came about"),
    ("UO", "a limit of the cluster or its retry budget was reached"),
    ("NR", "no route takes the request"),
    ("URX", "as many attempts were made as may be"),
    ("DC", "the client went away"),
    (
        "UC",
        "the endpoint ended its connection before its answer was whole",
    ),
    ("UT", "the endpoint did not answer in time"),
    ("UR", "the endpoint reset the stream"),
    ("DPE", "the client broke the rules of HTTP, or was too slow"),
    ("UPE", "the endpoint's answer could not be accepted"),
    ("SI", "nothing moved for too long"),
    ("DT", "it reached its greatest age"),
    ("UAEX", "an authorization service did not let it through"),
    ("DI", "a fault that is configured held it"),
    ("FI", "a fault that is configured ended it"),
    ("OM", "this proxy is near what it may have"),
    ("RL", "it came too often"),
    ("RLSE", "a rate limit service could not tell"),
];

/// What a response flag means.
pub(super) fn flag(name: &str) -> &'static str {
    let found = FLAGS.iter().find(|(flag, _)| *flag == name);
    found.map_or("", |(_, meaning)| meaning)
}

/// Flags with their meanings, if there are any.
pub(super) fn flags(flags: ResponseFlags) -> Option<String> {
    let told: Vec<String> = flags
        .names()
        .map(|name| format!("{name} ({})", flag(name)))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Why attempts and connections to endpoints fail, by their details.
const FAILURES: &[(&str, &str)] = &[
    (
        "connection_refused",
        "the endpoint refused the connection: nothing listens there",
    ),
    ("connection_timeout", "no connection came about in time"),
    ("connection_failed", "no connection could be made"),
    (
        "protocol_not_agreed",
        "the endpoint did not agree to the HTTP version that the cluster speaks (ALPN)",
    ),
    ("tls_timeout", "the TLS handshake did not end in time"),
    (
        "tls_closed",
        "the endpoint closed the connection during the TLS handshake",
    ),
    ("tls_alert", "the endpoint ended the TLS handshake with an alert"),
    (
        "tls_certificate_refused",
        "the endpoint did not accept this proxy's certificate",
    ),
    (
        "tls_protocol",
        "what the endpoint sent was no TLS, or broke its rules",
    ),
    (
        "tls_nothing_shared",
        "the endpoint shares no TLS version, cipher or protocol with this proxy",
    ),
    ("tls_certificate_missing", "the endpoint showed no certificate"),
    (
        "tls_certificate_expired",
        "the endpoint's certificate has expired",
    ),
    (
        "tls_certificate_not_yet_valid",
        "the endpoint's certificate is not valid yet",
    ),
    (
        "tls_certificate_unknown_authority",
        "nobody who is trusted vouches for the endpoint's certificate",
    ),
    (
        "tls_certificate_name",
        "the endpoint's certificate is another's: its names are not those that were wanted",
    ),
    ("tls_certificate_revoked", "the endpoint's certificate is revoked"),
    (
        "tls_certificate_revocation_unknown",
        "whether the endpoint's certificate is revoked cannot be known",
    ),
    ("tls_certificate_denied", "the endpoint's identity is denied"),
    (
        "tls_certificate_invalid",
        "the endpoint's certificate is not valid",
    ),
    (
        "tls_own_certificate",
        "this proxy has no certificate to show to the endpoint",
    ),
    (
        "upstream_connection_closed",
        "the endpoint closed the connection before its answer was whole",
    ),
    (
        "upstream_connection_reset",
        "the endpoint reset the connection before its answer was whole",
    ),
    ("upstream_remote_reset", "the endpoint reset the connection"),
    ("upstream_reset_stream", "the endpoint reset the stream"),
    (
        "upstream_refused_stream",
        "the endpoint refused the stream without having looked at it (REFUSED_STREAM)",
    ),
    (
        "upstream_stream_ended",
        "the endpoint ended the stream before its answer was whole",
    ),
    (
        "upstream_goaway",
        "the endpoint was going away and did not take the request any more (GOAWAY)",
    ),
    (
        "pooled_connection_closed",
        "the endpoint had closed the connection, which had served before",
    ),
    (
        "upstream_per_try_timeout",
        "the attempt was not answered in the time that each may take",
    ),
    (
        "upstream_per_try_idle_timeout",
        "nothing moved on the attempt for as long as may be",
    ),
    (
        "upstream_identity_lost",
        "the endpoint's certificate is believed no more",
    ),
    (
        "upstream_overflow",
        "the cluster has as many connections as it may",
    ),
    ("overflow", "a circuit breaker of the cluster is open"),
    ("compression_failed", "the answer could not be compressed"),
    (
        "request_not_expressible_in_http2",
        "the request cannot be said in HTTP/2, which the endpoint speaks",
    ),
    (
        "unsolicited_response",
        "the endpoint sent something before it was asked",
    ),
    ("no_healthy_upstream", "no endpoint of the cluster may be used"),
];

/// Why an attempt failed.
pub(super) fn failure(detail: &str) -> String {
    let found = FAILURES.iter().find(|(name, _)| *name == detail);
    match found {
        Some((_, meaning)) => (*meaning).to_owned(),
        None => spaced(detail),
    }
}

/// Why there was no other attempt.
pub(super) fn no_retry(why: &str) -> String {
    let meaning = match why {
        "not_wanted" => "no condition of the retry policy is for this",
        "not_idempotent" => "it may have run, and its method is not idempotent",
        "may_have_run" => "it may have run, and nothing says that it did not",
        "answer_begun" => "an answer had begun",
        "timed_out" => "its time was up",
        "response_invalid" => "the answer could not be read",
        "attempts_used_up" => "as many attempts were made as may be",
        "body_not_kept" => "what was sent of its body is not kept any more",
        "budget_at_once" => "the retry budget allows no more retries at once",
        "budget_recent" => "the retry budget of the last ten seconds is used up",
        "restrained" => "a proxy in front retries by itself",
        other => return spaced(other),
    };
    meaning.to_owned()
}

/// Why there was another attempt.
pub(super) fn retry(why: &str) -> String {
    let meaning = match why {
        "connect_failure" => "no connection could be made",
        "refused_stream" => "the endpoint had refused it unprocessed",
        "goaway" => "the endpoint was going away",
        "pooled_closed" => "its connection was closed before a byte was written",
        "died_before_answer" => "its connection died before a byte of an answer",
        "reset" => "it was reset",
        "per_try_timeout" => "the attempt's time was up",
        "response_invalid" => "the answer could not be read",
        "status" => "the retry policy repeats answers of that status",
        "grpc_status" => "the retry policy repeats answers of that gRPC status",
        "header" => "the retry policy repeats answers with such a header",
        "rate_limited" => "the answer said that a rate limit had refused it",
        other => return spaced(other),
    };
    meaning.to_owned()
}

/// The status that was sent, and that of gRPC for its calls.
pub(super) fn status(told: &Recorded) -> String {
    match told.grpc_status {
        None => told.status.to_string(),
        Some(status) => match grpc_status::name(status.into()) {
            Some(name) => format!("{} with gRPC status {name} ({status})", told.status),
            None => format!("{} with gRPC status {status}", told.status),
        },
    }
}

/// A name in snake case as words.
pub(super) fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// A text of a request, in quotes. What could be taken for something else on a terminal is escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('`');
    for character in text.chars() {
        match character {
            '`' => quoted.push_str("\\`"),
            '\\' => quoted.push_str("\\\\"),
            // Format characters turn the direction of what follows, or hide.
            character if character.is_control() || is_hidden(character) => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "{}", character.escape_unicode());
            }
            character => quoted.push(character),
        }
    }
    quoted.push('`');
    quoted
}

/// Characters of Unicode's category Cf that terminals act upon.
fn is_hidden(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A time, short.
pub(super) fn time(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_meaning() {
        let named: Vec<&str> = FLAGS.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, ResponseFlags::NAMES);
    }

    #[test]
    fn what_comes_from_requests_cannot_pass_for_something_else() {
        assert_eq!(quoted("/a/b"), "`/a/b`");
        assert_eq!(quoted("/a`\u{1b}[2J\n"), "`/a\\`\\u{1b}[2J\\u{a}`");
        assert_eq!(quoted("\u{202e}ab"), "`\\u{202e}ab`");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(time(Duration::from_micros(15)), "15 µs");
        assert_eq!(time(Duration::from_micros(1_500)), "1.5 ms");
        assert_eq!(time(Duration::from_millis(1_500)), "1.50 s");
    }
}
