//! Many faults at once, and how they are shown.

use super::read;

const TEN: &str = "\
admin: { address: localhost:9901 }
drain: { grace: 5 }
listeners:
  - name: edge
    adress: 127.0.0.1:8080
    filter_chains:
      - http: { route_configuration: mian, idle_timeout: 0s }
route_configurations:
  - name: main
    virtual_hosts:
      - name: all
        domains: ['*']
        routes:
          - match: { prefix: /, methods: [get] }
            forward: { cluster: wbe }
          - match: { regex: '(' }
            direct_response: { status: 99 }
clusters:
  - name: web
    load_balancing: roundrobin
";

#[test]
fn a_document_with_ten_faults_reports_ten() {
    let faults = read(TEN).unwrap_err();
    let places: Vec<(u32, u32)> = faults
        .iter()
        .map(|fault| (fault.line(), fault.column()))
        .collect();
    let expected = [
        (1, 19),
        (2, 17),
        (5, 5),
        (7, 38),
        (7, 58),
        (14, 43),
        (15, 33),
        (16, 29),
        (17, 40),
        (20, 21),
    ];
    assert_eq!(places, expected, "{faults}");
}

#[test]
fn faults_are_shown_with_their_lines() {
    let shown = read(TEN).unwrap_err().to_string();
    let expected = "\
error: unknown field `adress` in listener
 --> mesh.yaml:5:5
  |
5 |     adress: 127.0.0.1:8080
  |     ^^^^^^
  = help: did you mean `address`?

error: no route configuration is named `mian`
 --> mesh.yaml:7:38
  |
7 |       - http: { route_configuration: mian, idle_timeout: 0s }
  |                                      ^^^^
  = help: did you mean `main`?

error: this duration may not be zero
 --> mesh.yaml:7:58
  |
7 |       - http: { route_configuration: mian, idle_timeout: 0s }
  |                                                          ^^
  = help: it has no meaning as zero

error: methods are upper case, `get` is not
  --> mesh.yaml:14:43
   |
14 |           - match: { prefix: /, methods: [get] }
   |                                           ^^^
   = help: write `GET`
";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn a_diagnostic_renders_with_the_text_too() {
    for fault in &read(TEN).unwrap_err() {
        assert_eq!(fault.render(TEN), fault.to_string());
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let places = |text: &str| -> Vec<(u32, u32, String)> {
        let faults = read(text).unwrap_err();
        faults
            .iter()
            .map(|fault| (fault.line(), fault.column(), fault.to_string()))
            .collect()
    };
    assert_eq!(places(&TEN.replace('\n', "\r\n")), places(TEN));
    let marked = places(&format!("\u{feff}{TEN}"));
    assert_eq!(marked[1..], places(TEN)[1..]);
}
