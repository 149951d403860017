use super::*;
use outrigger_config::model::SpiffeId;

/// A request of nothing but headers.
struct Headers(Vec<(&'static str, &'static str)>);

impl RequestView for Headers {
    fn is_connect(&self) -> bool {
        false
    }
    fn method(&self) -> &str {
        "GET"
    }
    fn source_identity(&self) -> Option<&SpiffeId> {
        None
    }
    fn host(&self) -> &str {
        "test"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header<'a>(&'a self, name: &str, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let mut headers = self.0.iter();
        headers
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_bytes())
    }
}

/// The headers and ranges of Envoy's documentation ("Controlling fault injection via HTTP headers").
#[test]
fn headers_ask_as_in_envoy() {
    let abort = |value| AskedFaults::read(&Headers(vec![("x-envoy-fault-abort-request", value)])).abort;
    for (value, expected) in [
        ("200", Some(FaultAbortKind::Status(200))),
        ("503", Some(FaultAbortKind::Status(503))),
        ("599", Some(FaultAbortKind::Status(599))),
        ("600", None),
        ("199", None),
        ("", None),
        ("-503", None),
        ("+503", None),
        ("5O3", None),
        ("99999999999999999999999", None),
    ] {
        assert_eq!(abort(value), expected, "{value:?}");
    }
    let both = Headers(vec![
        ("x-envoy-fault-abort-grpc-request", "14"),
        ("x-envoy-fault-delay-request", "1500"),
        ("x-envoy-fault-delay-request-percentage", "30"),
        ("x-envoy-fault-abort-request-percentage", "101"),
        ("x-envoy-fault-throughput-response", "2"),
        ("x-envoy-fault-throughput-response-percentage", "100"),
    ]);
    assert_eq!(
        AskedFaults::read(&both),
        AskedFaults {
            delay: Some(Duration::from_millis(1500)),
            delay_percent: Some(30),
            abort: Some(FaultAbortKind::Grpc(14)),
            abort_percent: None,
            response_bytes_per_second: Some(2048),
            response_percent: Some(100),
        }
    );
    let odd = Headers(vec![
        ("x-envoy-fault-abort-grpc-request", "17"),
        ("x-envoy-fault-delay-request", "18446744073709551615"),
        ("x-envoy-fault-throughput-response", "0"),
    ]);
    assert_eq!(
        AskedFaults::read(&odd),
        AskedFaults {
            delay: Some(asked::ASKED_DELAY_MAX),
            ..AskedFaults::default()
        }
    );
}
