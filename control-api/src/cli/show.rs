//! Texts for people: tables, and nothing that a terminal would obey.

use serde_json::Value;
use std::io::{self, Write};

/// A column's width at most, in characters; the last one is never cut.
const WIDTH_MAX: usize = 60;

/// One line of somebody else's text.
pub(super) fn line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

/// Several lines of it.
pub(super) fn lines(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' | '\t' => character,
        character if character.is_control() => '\u{fffd}',
        character => character,
    };
    text.chars().map(shown).collect()
}

/// A value of an answer in a line; `-` for nothing.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => line(text),
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.1}", number.as_f64().expect("it is one"))
        }
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        other => line(&other.to_string()),
    }
}

/// Rows under their heads, in columns.
pub(super) fn table(out: &mut dyn Write, heads: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count()).min(WIDTH_MAX);
        }
    }
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let mut text = String::new();
        let last = row.len().saturating_sub(1);
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if at == last {
                text.push_str(cell);
                continue;
            }
            let cut: String = cell.chars().take(*width).collect();
            text.push_str(&format!("{cut:width$}  "));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}
