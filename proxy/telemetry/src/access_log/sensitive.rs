//! Which values print as `[redacted]`: credentials, by the names of the headers and parameters that carry them.
//!
//! A format names each header that it prints, and that is what allows it to be logged: a header that is in no format is
//! in no line. For credentials that is not enough: they print only where the log allows them by name, once more. What is
//! a credential is decided when a format is compiled, by the name alone: a list of the usual ones, and any name with a
//! word in it that says so (`x-vault-token`), since people name their own.

/// What stands for the value of a credential.
pub const REDACTED: &[u8] = b"[redacted]";

/// Names that are credentials and do not say so by a word of [`WORDS`].
pub(super) const NAMES: &[&str] = &[
    "authorization",
    "cookie",
    "cookie2",
    "dpop",
    "proxy-authorization",
    "set-cookie",
    "set-cookie2",
    "x-amz-signature",
    "x-goog-iap-jwt-assertion",
    "x-hub-signature",
    "x-hub-signature-256",
];

/// Words, between hyphens, underscores or dots, that make a name a credential's.
pub(super) const WORDS: &[&str] = &[
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "passwd",
    "password",
    "secret",
    "session",
    "sessionid",
    "token",
];

/// Two words that only do so one after the other.
pub(super) const PAIRS: &[(&str, &str)] = &[
    ("api", "key"),
    ("access", "key"),
    ("private", "key"),
    ("auth", "key"),
];

/// Names with such a word that carry no secret.
const HARMLESS: &[&str] = &["x-token-type"];

/// Whether what is named so, in lower case, is a credential.
pub fn is_credential(name: &str) -> bool {
    if NAMES.contains(&name) {
        return true;
    }
    if HARMLESS.contains(&name) {
        return false;
    }
    let words: Vec<&str> = name.split(['-', '_', '.']).collect();
    let pairs = words.windows(2).map(|pair| (pair[0], pair[1]));
    words.iter().any(|word| WORDS.contains(word)) || pairs.into_iter().any(|pair| PAIRS.contains(&pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_their_names() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "api_key",
            "apikey",
            "x-auth-token",
            "x-amz-security-token",
            "x-forwarded-access-token",
            "id_token",
            "x-csrf-token",
            "x-vault-token",
            "x.client.secret",
            "x-goog-iap-jwt-assertion",
            "password",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "user-agent",
            "x-request-id",
            "x-forwarded-for",
            "x-forwarded-client-cert",
            "x-keyboard",
            "x-tokens-left",
            "x-key",
            "x-api-version",
            "traceparent",
            "sec-websocket-key",
            "etag",
            "",
        ] {
            assert!(!is_credential(name), "{name}");
        }
    }
}
