//! The table of `docs/receipts.md` is printed from the codes.

use super::super::Code;
use std::collections::HashSet;
use std::path::Path;

const BEGIN: &str = "<!-- codes -->\n";
const END: &str = "<!-- end of codes -->\n";

fn table() -> String {
    let rows = Code::ALL
        .iter()
        .map(|code| format!("| `{code}` | {} | {} |\n", code.meaning(), code.remedy()));
    format!(
        "\n| code | what it means | what to do |\n|---|---|---|\n{}\n",
        rows.collect::<String>()
    )
}

/// `UPDATE_DOCS=1 cargo test -p outrigger-config --lib receipt` rewrites the table.
#[test]
fn the_page_says_what_the_code_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/receipts.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("the page has a place for the table");
    let (_, after) = rest.split_once(END).expect("the table has an end");
    let expected = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, &expected).unwrap();
        return;
    }
    assert!(
        text == expected,
        "docs/receipts.md is not what the code says: run with UPDATE_DOCS=1"
    );
}

#[test]
fn codes_are_kebab_case_and_differ() {
    let names: HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for name in names {
        let kebab = name.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        });
        assert!(kebab, "{name}");
    }
}
