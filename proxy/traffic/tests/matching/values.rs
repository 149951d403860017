//! Header values put together from requests, and what path variables took.

use crate::tables::routes;
use outrigger_config::model::{HeaderName, HeaderValuePart, PathMatch, PathTemplate};
use outrigger_traffic::header_value::{ValueSource, assemble};
use outrigger_traffic::template::{variable, variables};
use proptest::prelude::*;
use std::net::IpAddr;

/// A request with one header and one variable.
#[derive(Debug, Default)]
struct Source {
    header: Vec<u8>,
    variable: String,
    upstream: Option<String>,
}

impl ValueSource for Source {
    fn path_variable(&self, name: &str) -> Option<&str> {
        (name == "id").then_some(&self.variable)
    }
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        (name == "x-a").then_some(&self.header)
    }
    fn client_address(&self) -> IpAddr {
        "2001:db8::1".parse().expect("an address")
    }
    fn protocol(&self) -> &str {
        "HTTP/2"
    }
    fn upstream_host(&self) -> Option<&str> {
        self.upstream.as_deref()
    }
}

/// A name, taken from a route that has it.
fn header(name: &str) -> HeaderName {
    let configuration = routes(&format!(
        "route_configurations:\n- name: main\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    routes:\n    \
         - {{match: {{prefix: /, headers: [{{name: {name}, present: true}}]}}, direct_response: {{status: 200}}}}\n"
    ));
    configuration.virtual_hosts()[0].routes()[0].matches().headers()[0]
        .name()
        .clone()
}

fn matched(template: &str) -> PathTemplate {
    let configuration = routes(&format!(
        "route_configurations:\n- name: main\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    routes:\n    \
         - {{match: {{template: '{template}'}}, direct_response: {{status: 200}}}}\n"
    ));
    match configuration.virtual_hosts()[0].routes()[0].matches().path() {
        PathMatch::Template(template) => template.clone(),
        other => panic!("{other:?} is no template"),
    }
}

fn assembled(parts: &[HeaderValuePart], source: &Source) -> Vec<u8> {
    let mut value = Vec::new();
    assemble(parts, source, &mut value);
    value
}

#[test]
fn parts_stand_one_after_the_other_and_absent_ones_are_empty() {
    let text = |text: &str| HeaderValuePart::Text(text.to_owned());
    let source = Source {
        header: b"caf\xe9".to_vec(),
        variable: "a%2Fb".into(),
        upstream: Some("127.0.0.1:80".into()),
    };
    let parts = [
        text("a "),
        HeaderValuePart::RequestHeader(header("x-a")),
        text("; "),
        HeaderValuePart::PathVariable("id".into()),
        text(" "),
        HeaderValuePart::DownstreamRemoteAddress,
        HeaderValuePart::Protocol,
        text(" "),
        HeaderValuePart::UpstreamHost,
    ];
    assert_eq!(
        assembled(&parts, &source),
        b"a caf\xe9; a%2Fb 2001:db8::1HTTP/2 127.0.0.1:80"
    );
    let absent = [
        text(" \t"),
        HeaderValuePart::RequestHeader(header("x-b")),
        HeaderValuePart::PathVariable("none".into()),
        text(" x"),
        HeaderValuePart::UpstreamHost,
        text(" "),
    ];
    assert_eq!(assembled(&absent, &Source::default()), b"x");
    assert_eq!(assembled(&absent[..3], &Source::default()), b"");
}

#[test]
fn variables_take_segments_as_they_stand() {
    let template = matched("/a/{x}/b/{y}");
    let path = "/a/%2Fc%20d/b/e;f";
    assert_eq!(
        variables(&template, path).collect::<Vec<_>>(),
        [("x", "%2Fc%20d"), ("y", "e;f")]
    );
    assert_eq!(variable(&template, path, "y"), Some("e;f"));
    assert_eq!(variable(&template, path, "z"), None);
}

proptest! {
    /// A field value is any bytes but controls, HTAB excepted, with no blank at either end (RFC 9110 section 5.5).
    #[test]
    fn whatever_a_request_holds_a_value_stays_legal(
        header_value in prop::collection::vec(prop_oneof![Just(b' '), Just(b'\t'), 0x21..=0x7eu8, 0x80..=0xffu8], 0..20),
        segment in "[!-.0->@-~]{1,12}",
        text in "[ -~]{0,6}",
        order in prop::collection::vec(0..6usize, 0..8),
    ) {
        let source = Source { header: header_value.trim_ascii().to_vec(), variable: segment, upstream: None };
        let kinds = [
            HeaderValuePart::Text(text),
            HeaderValuePart::PathVariable("id".into()),
            HeaderValuePart::RequestHeader(header("x-a")),
            HeaderValuePart::DownstreamRemoteAddress,
            HeaderValuePart::Protocol,
            HeaderValuePart::UpstreamHost,
        ];
        let parts: Vec<HeaderValuePart> = order.into_iter().map(|kind| kinds[kind].clone()).collect();
        let value = assembled(&parts, &source);
        let is_legal = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        prop_assert!(value.iter().all(is_legal), "{:?}", value.escape_ascii().to_string());
        let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        prop_assert!(!is_blank(value.first()) && !is_blank(value.last()));
    }
}
