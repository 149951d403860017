//! Faulty responses, and what becomes of each.

/// What a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 502, for this reason.
    Refused(&'static str),
    /// 503: the connection ended before a whole head.
    Died,
    /// A response that does not come to its end; a reason if it was malformed, none if it was cut.
    Cut(Option<&'static str>),
}

pub(super) struct Case {
    pub(super) method: &'static str,
    pub(super) response: Vec<u8>,
    /// The upstream closes after it.
    pub(super) closes: bool,
    pub(super) outcome: Outcome,
}

fn case(response: impl Into<Vec<u8>>, outcome: Outcome) -> Case {
    let closes = matches!(outcome, Outcome::Died | Outcome::Cut(None));
    Case {
        method: "GET",
        response: response.into(),
        closes,
        outcome,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = status_lines();
    cases.extend(fields());
    cases.extend(lengths());
    cases.extend(chunks());
    cases.extend(ends());
    cases
}

fn status_lines() -> Vec<Case> {
    let table: &[(&str, &'static str)] = &[
        ("", "invalid_status_line"),
        ("HTTP/1.1", "invalid_status_line"),
        ("HTTP/1.1 ", "invalid_status"),
        ("HTTP/1.1 20", "invalid_status"),
        ("HTTP/1.1 2000", "invalid_status"),
        ("HTTP/1.1 2x0 OK", "invalid_status"),
        ("HTTP/1.1 -20 OK", "invalid_status"),
        ("HTTP/1.1 099 OK", "invalid_status"),
        ("HTTP/1.1  200 OK", "invalid_status"),
        ("HTTP/1.1 200OK", "invalid_status_line"),
        ("HTTP/1.1 200\tOK", "invalid_status_line"),
        ("HTTP/1.1\t200 OK", "invalid_version"),
        (" HTTP/1.1 200 OK", "invalid_version"),
        ("http/1.1 200 OK", "invalid_version"),
        ("ICY 200 OK", "invalid_version"),
        ("HTTP/1.10 200 OK", "invalid_version"),
        ("HTTP/1,1 200 OK", "invalid_version"),
        ("HTTP/2.0 200 OK", "unsupported_version"),
        ("HTTP/0.9 200 OK", "unsupported_version"),
        ("HTTP/1.1 200 O\u{1}K", "invalid_status_line"),
        ("HTTP/1.1 200 O\u{7f}K", "invalid_status_line"),
        ("HTTP/1.1 200 O\0K", "nul_byte"),
        ("HTTP/1.1 200 O\rK", "bare_cr"),
        ("HTTP/1.1 200 OK\r", "bare_cr"),
        ("HTTP/1.1 200 OK\nx: y", "bare_lf"),
        ("\r\nHTTP/1.1 200 OK", "invalid_status_line"),
        ("<html>secret</html>", "invalid_status_line"),
        ("SSH-2.0-OpenSSH_9.2", "invalid_status_line"),
        ("GET / HTTP/1.1", "invalid_version"),
    ];
    let response = |line: &str| format!("{line}\r\ncontent-length: 6\r\n\r\nsecret");
    table
        .iter()
        .map(|(line, reason)| case(response(line), Outcome::Refused(reason)))
        .collect()
}

fn fields() -> Vec<Case> {
    let table: &[(&str, &'static str)] = &[
        ("x: y\n", "bare_lf"),
        ("x: y\rz\r\n", "bare_cr"),
        ("x: \0\r\n", "nul_byte"),
        ("x: y\r\n z\r\n", "obsolete_folding"),
        (" x: y\r\n", "obsolete_folding"),
        ("x : y\r\n", "whitespace_before_colon"),
        ("content-length : 6\r\n", "whitespace_before_colon"),
        ("x\r\n", "missing_colon"),
        (": y\r\n", "invalid_field_name"),
        ("x(: y\r\n", "invalid_field_name"),
        ("x: \u{b}\r\n", "invalid_field_value"),
    ];
    let response = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\nsecret");
    let mut cases: Vec<Case> = table
        .iter()
        .map(|(fields, reason)| case(response(fields), Outcome::Refused(reason)))
        .collect();
    cases.push(case(
        response(&"x: y\r\n".repeat(101)),
        Outcome::Refused("too_many_fields"),
    ));
    cases
}

fn lengths() -> Vec<Case> {
    let table: &[(&str, &'static str)] = &[
        (
            "content-length: 6\r\ntransfer-encoding: chunked\r\n",
            "both_lengths",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
            "both_lengths",
        ),
        (
            "content-length: 6\r\ncontent-length: 6\r\n",
            "repeated_content_length",
        ),
        (
            "content-length: 6\r\ncontent-length: 2\r\n",
            "repeated_content_length",
        ),
        ("content-length: 6,6\r\n", "invalid_content_length"),
        ("content-length: -1\r\n", "invalid_content_length"),
        ("content-length: +6\r\n", "invalid_content_length"),
        ("content-length: 0x6\r\n", "invalid_content_length"),
        (
            "content-length: 99999999999999999999\r\n",
            "invalid_content_length",
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "repeated_transfer_encoding",
        ),
        ("transfer-encoding: gzip, chunked\r\n", "unknown_transfer_coding"),
        ("transfer-encoding: identity\r\n", "unknown_transfer_coding"),
    ];
    let response = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\nsecret");
    let mut cases: Vec<Case> = table
        .iter()
        .map(|(fields, reason)| case(response(fields), Outcome::Refused(reason)))
        .collect();
    let chunked = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    cases.push(case(chunked, Outcome::Refused("transfer_encoding_in_http_10")));
    for status in ["100", "103", "204"] {
        let bodied = format!("HTTP/1.1 {status} x\r\ncontent-length: 6\r\n\r\nsecret");
        cases.push(case(bodied, Outcome::Refused("body_on_bodiless")));
    }
    // Nobody asked for another protocol: what an upgrade header said was not passed on.
    let switched =
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nsecret";
    cases.push(case(switched, Outcome::Refused("unexpected_upgrade")));
    let flood = "HTTP/1.1 102 x\r\n\r\n".repeat(9) + "HTTP/1.1 200 OK\r\n\r\n";
    cases.push(case(flood, Outcome::Refused("too_many_informational")));
    cases
}

fn chunks() -> Vec<Case> {
    let table: &[(&str, &'static str)] = &[
        ("g\r\n", "invalid_chunk_size"),
        ("1 \r\n", "invalid_chunk_size"),
        ("10000000000000000\r\n", "invalid_chunk_size"),
        ("1\n", "bare_lf"),
        ("1;;\r\n", "invalid_chunk_extension"),
        ("1\r\nabc", "invalid_chunk_end"),
        ("0\r\ntransfer-encoding: x\r\n\r\n", "forbidden_trailer"),
        ("0\r\ncontent-length: 1\r\n\r\n", "forbidden_trailer"),
        ("0\r\nx: y\n\r\n", "bare_lf"),
        ("0\r\n x\r\n\r\n", "obsolete_folding"),
    ];
    let cut = |(body, reason): &(&str, &'static str)| {
        let response = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n{body}");
        case(response, Outcome::Cut(Some(reason)))
    };
    table.iter().map(cut).collect()
}

/// Connections that end too early.
fn ends() -> Vec<Case> {
    let heads = [
        "",
        "H",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nx",
        "HTTP/1.1 100 x\r\n\r\n",
    ];
    let bodies = [
        "content-length: 3\r\n\r\n",
        "content-length: 3\r\n\r\nab",
        "transfer-encoding: chunked\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\nab",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n",
    ];
    let died = heads.map(|head| case(head, Outcome::Died));
    let cut = bodies.map(|rest| case(format!("HTTP/1.1 200 OK\r\n{rest}"), Outcome::Cut(None)));
    died.into_iter().chain(cut).collect()
}
