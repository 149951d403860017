//! Tokens: random texts of which only a digest is kept.

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::{self, Write};
use std::str::FromStr;
use zeroize::Zeroizing;

/// Random bytes of a token: 256 bits are out of reach of guessing, which is why its digest needs no salt.
const RANDOM_BYTES: usize = 32;
/// What every digest's text begins with: it names the function, should there ever be another.
const DIGEST_PREFIX: &str = "sha256:";

/// A token's text, shown once to whoever asked for it and kept nowhere.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A new one: the prefix, which says what it is for to whoever finds it, and 43 random characters of base64url.
    ///
    /// # Panics
    /// If the system has no random numbers; nothing secret can be done without them.
    pub fn generate(prefix: &str) -> Secret {
        let mut random = Zeroizing::new([0_u8; RANDOM_BYTES]);
        rand::fill(random.as_mut()).expect("the system has random numbers");
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 4 * RANDOM_BYTES / 3 + 1));
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(random.as_ref(), &mut text);
        Secret(text)
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// SHA-256 of a token. As text `sha256:` and 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token's text.
    pub fn of(token: &str) -> TokenDigest {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        TokenDigest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DIGEST_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The beginning is enough to tell digests apart.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(text, "{byte:02x}"))?;
        write!(f, "TokenDigest({text}..)")
    }
}

/// A text is no digest of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `sha256:` and 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints them")]
pub struct TokenFault;

impl FromStr for TokenDigest {
    type Err = TokenFault;

    fn from_str(text: &str) -> Result<TokenDigest, TokenFault> {
        let digits = text.strip_prefix(DIGEST_PREFIX).ok_or(TokenFault)?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(TokenFault);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| (digit as char).to_digit(16).ok_or(TokenFault);
            *byte = (value(pair[0])? * 16 + value(pair[1])?) as u8;
        }
        Ok(TokenDigest(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_sha256sum_prints() {
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenDigest::of("abc").to_string(), text);
        assert_eq!(text.parse(), Ok(TokenDigest::of("abc")));
        assert_eq!(
            text.to_uppercase().replace("SHA", "sha").parse(),
            Ok(TokenDigest::of("abc"))
        );
        for wrong in [
            "",
            "sha256:",
            &text[7..],
            &text[..70],
            &format!("{text}0"),
            "sha256:é",
        ] {
            assert_eq!(wrong.parse::<TokenDigest>(), Err(TokenFault), "{wrong}");
        }
        assert_eq!(text.replace("ba", "xx").parse::<TokenDigest>(), Err(TokenFault));
    }

    #[test]
    fn secrets_differ_and_do_not_show() {
        let (one, other) = (Secret::generate("ot_"), Secret::generate("ot_"));
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.expose().len(), 46);
        assert!(one.expose().starts_with("ot_"));
        assert_eq!(format!("{one:?}"), "Secret(..)");
        assert!(!format!("{:?}", one.digest()).contains(&one.digest().to_string()[20..]));
    }
}
