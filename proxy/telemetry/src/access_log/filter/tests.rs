use super::*;
use crate::access_log::format::tests::{Headers, record};
use std::time::Duration;

fn never() -> u64 {
    panic!("no random number is needed")
}

fn takes(filter: &LogFilter, record: &RequestRecord<'_>) -> bool {
    filter.takes(record, &never)
}

/// A TCP connection.
fn connection() -> RequestRecord<'static> {
    RequestRecord {
        protocol: None,
        response_code: 0,
        route_name: None,
        request: &(),
        response: &(),
        trailers: None,
        ..record()
    }
}

#[test]
fn values_are_compared() {
    let table = [
        (LogRelation::AtLeast, [false, true, true]),
        (LogRelation::AtMost, [true, true, false]),
        (LogRelation::Equals, [false, true, false]),
        (LogRelation::Differs, [true, false, true]),
    ];
    for (relation, expected) in table {
        let status = |code| {
            let of = RequestRecord {
                response_code: code,
                ..record()
            };
            takes(&LogFilter::Status(relation, 500), &of)
        };
        assert_eq!([499, 500, 501].map(status), expected, "{relation:?}");
        let duration = |microseconds| {
            let of = RequestRecord {
                duration: Duration::from_micros(microseconds),
                ..record()
            };
            takes(&LogFilter::Milliseconds(relation, 20), &of)
        };
        assert_eq!([19_999, 20_999, 21_000].map(duration), expected, "{relation:?}");
    }
}

#[test]
fn flags_routes_and_the_user_agent_are_asked_for() {
    let flagged = RequestRecord {
        response_flags: ResponseFlags::UF | ResponseFlags::URX,
        ..record()
    };
    let some = LogFilter::SomeFlag(ResponseFlags::NR | ResponseFlags::URX);
    assert!(takes(&some, &flagged) && !takes(&some, &record()));
    assert!(!takes(&LogFilter::SomeFlag(ResponseFlags::NR), &flagged));
    assert!(takes(&LogFilter::AnyFlag, &flagged) && !takes(&LogFilter::AnyFlag, &record()));

    let routes = LogFilter::Routes(["account", "cart", "home"].map(Box::from).into());
    assert!(takes(&routes, &record()) && !takes(&routes, &connection()));
    assert!(!takes(
        &LogFilter::Routes(["car"].map(Box::from).into()),
        &record()
    ));

    let probe = LogFilter::NotHealthCheck(HeaderName::named("user-agent"));
    assert!(takes(&probe, &record()) && takes(&probe, &connection()) && !takes(&probe, &probed()));
}

const PROBE: Headers = Headers(&[(":method", b"GET"), ("user-agent", b"kube-probe/1.31")]);
const HEAD: Headers = Headers(&[(":method", b"HEAD"), ("user-agent", b"kube-probe/1.31")]);
const POST: Headers = Headers(&[(":method", b"POST"), ("user-agent", b"kube-probe/1.31")]);

fn probed() -> RequestRecord<'static> {
    from("10.0.0.1:1", "10.0.0.1:1")
}

fn from(direct: &str, client: &str) -> RequestRecord<'static> {
    RequestRecord {
        request: &PROBE,
        downstream_direct_remote_address: Some(direct.parse().unwrap()),
        downstream_remote_address: Some(client.parse().unwrap()),
        ..record()
    }
}

#[test]
fn nobody_stays_out_of_the_log_by_a_probes_user_agent_alone() {
    let probe = LogFilter::NotHealthCheck(HeaderName::named("user-agent"));
    let table = [
        (probed(), false),
        (
            RequestRecord {
                request: &HEAD,
                ..probed()
            },
            false,
        ),
        (
            RequestRecord {
                request: &POST,
                ..probed()
            },
            true,
        ),
        (
            RequestRecord {
                response_code: 399,
                ..probed()
            },
            false,
        ),
        (
            RequestRecord {
                response_code: 400,
                ..probed()
            },
            true,
        ),
        (
            RequestRecord {
                response_code: 0,
                ..probed()
            },
            true,
        ),
        (from("127.0.0.1:1", "127.0.0.1:1"), false),
        (from("[::1]:1", "[::1]:1"), false),
        (from("169.254.1.1:1", "169.254.1.1:1"), false),
        (from("[fe80::1]:1", "[fd00::1]:1"), false),
        (from("[::ffff:192.168.0.1]:1", "172.16.0.1:1"), false),
        (from("192.0.2.1:1", "10.0.0.1:1"), true),
        (from("[2001:db8::1]:1", "[2001:db8::1]:1"), true),
        // A trusted proxy is near, and tells who is not.
        (from("10.0.0.1:1", "192.0.2.1:0"), true),
    ];
    for (record, has_line) in table {
        let addresses = (
            record.downstream_direct_remote_address,
            record.downstream_remote_address,
        );
        assert_eq!(
            takes(&probe, &record),
            has_line,
            "{} {addresses:?}",
            record.response_code
        );
    }
}

#[test]
fn headers_are_asked_whole_and_only_of_requests() {
    const TWICE: Headers = Headers(&[("x-a", b"1"), ("x-b", b"-"), ("x-a", b"2")]);
    let request = RequestRecord {
        request: &TWICE,
        ..record()
    };
    let asks = |name, wanted: Option<&'static [u8]>| {
        LogFilter::Header(HeaderName::named(name), Box::new(move |value| value == wanted))
    };
    assert!(takes(&asks("x-a", Some(b"1,2")), &request));
    assert!(!takes(&asks("x-a", Some(b"1")), &request));
    assert!(takes(&asks("x-c", None), &request));
    assert!(
        !takes(&asks("x-c", None), &connection()),
        "a connection has no header to be absent"
    );
}

#[test]
fn what_a_connection_does_not_have_does_not_hold() {
    let conditions = [
        LogFilter::Status(LogRelation::AtMost, 999),
        LogFilter::Routes(["cart"].map(Box::from).into()),
        LogFilter::GrpcStatus(GrpcNames::default(), u32::MAX),
        LogFilter::Header(HeaderName::named("a"), Box::new(|_| true)),
    ];
    for condition in conditions {
        assert!(!takes(&condition, &connection()), "{condition:?}");
        assert!(takes(&LogFilter::Not(Box::new(condition)), &connection()));
    }
}

#[test]
fn a_grpc_status_is_one_of_a_set() {
    const GRPC: Headers = Headers(&[("content-type", b"application/grpc")]);
    const FOURTEEN: Headers = Headers(&[("grpc-status", b"14")]);
    const NINETY: Headers = Headers(&[("grpc-status", b"90")]);
    let answered = |response: &'static Headers| RequestRecord {
        request: &GRPC,
        response,
        trailers: None,
        ..record()
    };
    let unavailable = LogFilter::GrpcStatus(GrpcNames::default(), 1 << 14 | 1 << 2);
    assert!(takes(&unavailable, &answered(&FOURTEEN)));
    assert!(!takes(&unavailable, &answered(&NINETY)) && !takes(&unavailable, &record()));
}

#[test]
fn filters_combine() {
    let yes = || LogFilter::Status(LogRelation::Equals, 200);
    let no = || LogFilter::AnyFlag;
    assert!(takes(&LogFilter::AnyOf([no(), yes()].into()), &record()));
    assert!(!takes(&LogFilter::AnyOf([no(), no()].into()), &record()));
    assert!(takes(&LogFilter::All([yes(), yes()].into()), &record()));
    assert!(!takes(&LogFilter::All([yes(), no()].into()), &record()));
    assert!(takes(&LogFilter::Not(Box::new(no())), &record()));
}

#[test]
fn shares_are_what_they_say_and_the_same_for_the_same_id() {
    struct Id(String);
    impl crate::access_log::record::HeaderLookup for Id {
        fn lookup(&self, _: &HeaderName) -> Option<&[u8]> {
            Some(self.0.as_bytes())
        }
        fn joined<'a>(&'a self, name: &HeaderName, _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
            self.lookup(name)
        }
        fn bytes(&self) -> u64 {
            0
        }
    }
    let by = |share| LogFilter::ByHeader(share, HeaderName::named("x-request-id"));
    let (tenth, half) = (by(100_000), by(500_000));
    let mut taken = [0, 0];
    for number in 0..20_000_u64 {
        let id = Id(format!("{number:08x}-0000-4000-8000-{number:012x}"));
        let request = RequestRecord {
            request: &id,
            ..record()
        };
        let [in_tenth, in_half] = [&tenth, &half].map(|filter| takes(filter, &request));
        assert!(in_half || !in_tenth, "a larger share has all of a smaller one");
        assert_eq!(takes(&tenth, &request), in_tenth, "always the same");
        taken = [taken[0] + u32::from(in_tenth), taken[1] + u32::from(in_half)];
        assert!(takes(&by(1_000_000), &request) && !takes(&by(0), &request));
    }
    assert!(
        (1_800..2_200).contains(&taken[0]) && (9_600..10_400).contains(&taken[1]),
        "{taken:?}"
    );
    let highest = LogFilter::Random(1);
    assert!(highest.takes(&record(), &|| 0) && !highest.takes(&record(), &|| u64::MAX));
    assert!(LogFilter::Random(1_000_000).takes(&record(), &|| u64::MAX));
    // Without an id at random.
    assert!(!half.takes(&connection(), &|| u64::MAX) && half.takes(&connection(), &|| 7));
}
