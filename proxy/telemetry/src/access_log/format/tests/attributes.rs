use super::*;

#[test]
fn members_become_attributes_and_keep_their_types() {
    let inner = vec![
        (
            "host".to_owned(),
            JsonTemplate::Text("%UPSTREAM_HOST%".to_owned()),
        ),
        ("gone".to_owned(), JsonTemplate::Text("%REQ(ABSENT)%".to_owned())),
    ];
    let list = JsonTemplate::List(vec![JsonTemplate::Text("%PROTOCOL%".to_owned())]);
    let mut fields = members(&[
        ("status", "%RESPONSE_CODE%"),
        ("agent", "%REQ(USER-AGENT)%"),
        ("mixed", "a\t%REQ(X-REQUEST-ID)%\"%REQ(ABSENT)%"),
        ("cookie", "%REQ(COOKIE)%"),
        ("none", "%REQ(ABSENT)%%REQ(ABSENT)%"),
    ]);
    fields.push(("to".to_owned(), JsonTemplate::Object(inner)));
    fields.push(("list".to_owned(), list));
    let attributes = LogAttributes::json(&fields, FormatOptions::default()).unwrap();
    let number_of = |name: &str| u8::try_from(NUMBERED.iter().position(|known| *known == name)?).ok();
    let found = attributes.number_names(number_of).of(&record());
    let text = |text: &str| AttributeValue::from(text.to_owned());
    let expected = [
        ("status", AttributeValue::Integer(200)),
        ("agent", text("curl/8.5 (\"quoted\")")),
        ("mixed", text("a\td2a0\"")),
        ("cookie", text("[redacted]")),
        ("to.host", text("10.0.0.7:8080")),
        ("list", text("[\"HTTP/1.1\"]")),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.into(), value)));
    let usual = LogAttributes::default_json(FormatOptions::default()).of(&record());
    assert!(usual.contains(&("response_code".into(), AttributeValue::Integer(200))));
    assert!(
        !usual.iter().any(|(name, _)| name == "response_duration"),
        "what is missing has none"
    );
}

#[test]
fn texts_have_an_end() {
    let template = "\u{e9}".repeat(3_000);
    let attributes = LogAttributes::json(&members(&[("a", &template)]), FormatOptions::default()).unwrap();
    assert_eq!(
        attributes.of(&record()),
        [("a".into(), AttributeValue::from("\u{e9}".repeat(2_048)))]
    );
}
