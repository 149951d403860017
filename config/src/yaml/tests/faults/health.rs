//! Health checks and outlier detection.

use super::super::with_cluster;
use super::check;

#[test]
fn health_checks() {
    check(
        |check| with_cluster(&format!("{{name: c, health_check: {check}}}")),
        &[
            (
                "«{»}",
                &["one of `http`, `grpc` and `tcp` is missing in health check"],
            ),
            (
                "{tcp: {}, «http»: {path: /}}",
                &["`tcp` and `http` exclude each other | give exactly one of `http`, `grpc` and `tcp`"],
            ),
            ("{http: «{»}}", &["missing field `path` in http health check"]),
            (
                "{http: {path: «healthz»}}",
                &["a path begins with `/` and has at most 4096 bytes"],
            ),
            ("{http: {path: «'/a b'»}}", &["a path may not contain ' '"]),
            (
                "{http: {path: '/a?b=c', method: «CONNECT»}}",
                &["CONNECT asks for a tunnel, not for health"],
            ),
            (
                "{http: {path: /, method: HEAD, «expected_body»: ok}}",
                &["`expected_body`, and the answer to HEAD has none | write `method: GET`"],
            ),
            (
                "{http: {path: /, headers: {«content-length»: 1}}}",
                &["`content-length` cannot be edited: it says where a message ends"],
            ),
            (
                "{http: {path: /, expected_statuses: [200, «299-200», «600», «2xx»]}}",
                &[
                    "expected a status or a range of statuses, found `299-200` | such as `200` or `200-299`",
                    "expected a status or a range of statuses, found `600` | such as `200` or `200-299`",
                    "expected a status or a range of statuses, found `2xx` | such as `200` or `200-299`",
                ],
            ),
            (
                "{http: {path: /, expected_statuses: «[»]}}",
                &["this list may not be empty"],
            ),
            (
                "{«grpc»: {}}",
                &["the cluster is asked over gRPC, and speaks HTTP/1 | give the cluster `protocol: http2`"],
            ),
            (
                "{tcp: {send: {hex: «0g»}, receive: [{hex: «000»}, «''»]}}",
                &[
                    "expected two hexadecimal digits for each byte | such as `00ff`",
                    "expected two hexadecimal digits for each byte | such as `00ff`",
                    "this has 0 bytes; 1 to 4096 are allowed",
                ],
            ),
            (
                "{tcp: {}, interval: «0s», jitter: «101», unhealthy_threshold: «0», port: «0»}",
                &[
                    "this duration may not be zero | it has no meaning as zero",
                    "101 is not between 0 and 100",
                    "0 is not between 1 and 1000",
                    "0 is not between 1 and 65535",
                ],
            ),
            (
                "{tcp: {}, «interval_jitter»: 1s}",
                &["unknown field `interval_jitter` in health check | did you mean `jitter`?"],
            ),
        ],
    );
    check(
        with_cluster,
        &[
            (
                "{name: c, discovery: {type: original_destination}, «health_check»: {tcp: {}}}",
                &[
                    "`health_check` on a cluster whose endpoints are not known before somebody connects to them | remove it",
                ],
            ),
            (
                "{name: c, discovery: {type: original_destination}, «outlier_detection»: true}",
                &[
                    "`outlier_detection` on a cluster whose endpoints are whatever clients ask for: there is no other to use | \
                     remove it",
                ],
            ),
        ],
    );
}

#[test]
fn outlier_detection() {
    check(
        |detection| with_cluster(&format!("{{name: c, outlier_detection: {detection}}}")),
        &[
            ("«5»", &["expected true or false, found `5`"]),
            (
                "{consecutive_5xx: «0», max_ejection_percent: «101»}",
                &["0 is not between 1 and 1000", "101 is not between 0 and 100"],
            ),
            (
                "{base_ejection_time: 60s, max_ejection_time: «30s»}",
                &["the longest ejection, 30s, is shorter than the first, 60s"],
            ),
            (
                "{«always_eject_one_host»: true}",
                &[
                    "unknown field `always_eject_one_host` in outlier detection | did you mean `always_eject_one`?",
                ],
            ),
        ],
    );
}
