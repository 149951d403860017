use super::*;

const OMITTING: FormatOptions<'static> = FormatOptions {
    headers_allowed: &[],
    omit_empty_values: true,
};

#[test]
fn what_is_missing_is_left_out_of_texts() {
    let template =
        "<%REQ(ABSENT)%> %RESPONSE_FLAGS%|%RESPONSE_DURATION%|%REQ(X-EVIL):3% \"%PROTOCOL%\" %BYTES_SENT%";
    let format = AccessLogFormat::text(template, OMITTING).unwrap();
    assert_eq!(line(&format, &record()), "<> ||a\\x0d\\x0a \"HTTP/1.1\" 1024\n");
}

#[test]
fn what_is_missing_has_no_member_in_json() {
    let inner = vec![
        ("none".to_owned(), JsonTemplate::Text("%REQ(ABSENT)%".to_owned())),
        (
            "list".to_owned(),
            JsonTemplate::List(vec![
                JsonTemplate::Text("%REQ(ABSENT)%".to_owned()),
                JsonTemplate::Text("%RESPONSE_CODE%".to_owned()),
            ]),
        ),
    ];
    let mut fields = members(&[
        ("first", "%RESPONSE_DURATION%"),
        ("q\"", "%REQ(USER-AGENT)%"),
        ("mixed", "a\t%REQ(ABSENT)%b"),
        ("gone", "%REQ(ABSENT)%%REQ(ABSENT)%"),
    ]);
    fields.push(("inner".to_owned(), JsonTemplate::Object(inner)));
    let nothing = JsonTemplate::Object(members(&[("none", "%REQ(ABSENT)%")]));
    fields.push(("nothing".to_owned(), nothing.clone()));
    let format = AccessLogFormat::json(&fields, OMITTING).unwrap();
    assert_eq!(
        line(&format, &record()),
        "{\"q\\\"\":\"curl/8.5 (\\\"quoted\\\")\",\"mixed\":\"a\\tb\",\"inner\":{\"list\":[200]}}\n"
    );
    let empty = AccessLogFormat::json(&[("nothing".to_owned(), nothing)], OMITTING).unwrap();
    assert_eq!(line(&empty, &record()), "{}\n");
}

#[test]
fn numbers_of_names_and_faults_are_the_same_there() {
    let by_number = |name: &str| u8::try_from(NUMBERED.iter().position(|known| *known == name)?).ok();
    let format = AccessLogFormat::json(&members(&[("id", "%REQ(X-REQUEST-ID)%")]), OMITTING)
        .unwrap()
        .number_names(by_number);
    assert_eq!(line(&format, &record()), "{\"id\":\"d2a0\"}\n");
    let fault = AccessLogFormat::json(&members(&[("id", "%NO_SUCH_THING_AT_ALL%")]), OMITTING).unwrap_err();
    assert!(
        fault.to_string().starts_with("key \"id\": unknown operator"),
        "{fault}"
    );
}
