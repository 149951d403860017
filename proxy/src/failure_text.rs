//! What went wrong with a peer, in words that can be shown: cut, and without control characters.

use std::error::Error;

/// Of what a peer says at most so many characters are kept.
const CHARACTERS_MAX: usize = 200;

/// An error and what brought it about: libraries often say no more than "transport error" themselves.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    printable(&causes(error))
}

/// The same as it is, neither cut nor fit to be shown.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// What a peer said.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .take(CHARACTERS_MAX)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}
