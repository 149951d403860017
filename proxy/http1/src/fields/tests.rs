use super::*;

fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    list.iter()
        .for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

fn text(fields: &Fields) -> Vec<String> {
    let line = |field: Field<'_>| {
        format!(
            "{}={}",
            String::from_utf8_lossy(field.name),
            String::from_utf8_lossy(field.value)
        )
    };
    fields.iter().map(line).collect()
}

fn wire(fields: &Fields, skipped: KnownSet) -> String {
    let mut out = Vec::new();
    fields.write_wire(skipped, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn fields_are_found_by_number_and_by_name() {
    let fields = fields(&[("accept", "a"), ("x-one", "1"), ("accept", "b"), ("x-one", "2")]);
    assert_eq!(fields.get(KnownName::Accept), Some(&b"a"[..]));
    assert_eq!(
        fields.get_all(KnownName::Accept).collect::<Vec<_>>(),
        [b"a", b"b"]
    );
    assert_eq!(fields.find("x-one"), Some(&b"1"[..]));
    assert_eq!(fields.find("accept"), Some(&b"a"[..]));
    assert_eq!(fields.find_all("x-one").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(fields.get(KnownName::Via), None);
    assert!(!fields.contains(KnownName::Via) && fields.contains(KnownName::Accept));
    assert_eq!((fields.len(), fields.bytes_len()), (4, 6 + 5 + 6 + 5 + 4));
    assert_eq!(
        fields.iter().next().map(|field| field.known),
        Some(Some(KnownName::Accept))
    );
}

#[test]
fn setting_replaces_all_of_a_name_where_the_first_stood() {
    let mut fields = fields(&[
        ("accept", "a"),
        ("x-one", "1"),
        ("via", "v"),
        ("x-one", "2"),
        ("accept", "b"),
    ]);
    fields.set_known(KnownName::Accept, b"longer than before");
    fields.set(b"x-one", b"3");
    fields.set(b"x-new", b"4");
    fields.set(b"via", b"");
    assert_eq!(
        text(&fields),
        ["accept=longer than before", "x-one=3", "via=", "x-new=4"]
    );
    fields.set_known(KnownName::Server, b"s");
    assert_eq!(fields.get(KnownName::Server), Some(&b"s"[..]));
}

#[test]
fn removing_leaves_the_order_and_the_set_right() {
    let mut fields = fields(&[
        ("accept", "a"),
        ("x-one", "1"),
        ("accept", "b"),
        ("via", "v"),
        ("x-two", "2"),
    ]);
    fields.remove_known(KnownName::Accept);
    assert!(!fields.contains(KnownName::Accept));
    fields.remove("x-one");
    assert_eq!(text(&fields), ["via=v", "x-two=2"]);
    fields.retain(|field| field.known.is_none());
    assert!(!fields.contains(KnownName::Via));
    assert_eq!(text(&fields), ["x-two=2"]);
    fields.remove("x-two");
    assert!(fields.is_empty());
    fields.push(b"via", b"w");
    assert_eq!(wire(&fields, KnownSet::EMPTY), "via: w\r\n");
}

#[test]
fn the_wire_shows_the_fields_in_order_after_any_edit() {
    let mut fields = fields(&[("accept", "a"), ("via", "v"), ("x-one", "1"), ("x-two", "2")]);
    assert_eq!(
        wire(&fields, KnownSet::EMPTY),
        "accept: a\r\nvia: v\r\nx-one: 1\r\nx-two: 2\r\n"
    );
    let skipped = KnownSet::of(&[KnownName::Via]);
    assert_eq!(wire(&fields, skipped), "accept: a\r\nx-one: 1\r\nx-two: 2\r\n");
    fields.set(b"accept", b"c");
    fields.remove("x-one");
    assert_eq!(wire(&fields, skipped), "accept: c\r\nx-two: 2\r\n");
}

#[test]
fn edits_without_end_take_bounded_memory() {
    let mut fields = fields(&[("accept", "a"), ("x-one", "1")]);
    for round in 0..10_000 {
        fields.set(b"x-one", format!("value {round}").as_bytes());
        fields.set_known(KnownName::Accept, b"b");
    }
    assert_eq!(text(&fields), ["accept=b", "x-one=value 9999"]);
    assert!(
        fields.capacity_bytes() < 4096,
        "{} bytes",
        fields.capacity_bytes()
    );
}

#[test]
fn debug_output_shows_no_value() {
    let fields = fields(&[("authorization", "secret")]);
    assert_eq!(format!("{fields:?}"), "[authorization (6 bytes)]");
}

#[test]
fn releasing_gives_the_memory_back() {
    let mut fields = fields(&[("accept", "a")]);
    fields.clear();
    assert!(fields.is_empty() && fields.capacity_bytes() > 0 && !fields.contains(KnownName::Accept));
    fields.release();
    assert_eq!(fields.capacity_bytes(), 0);
}
