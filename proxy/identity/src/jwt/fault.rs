//! Why a token is refused.

/// Declares the faults, each with Envoy's text for it where Envoy has one. Texts are printable ASCII without `%` and
/// quotes but `'`, so that they can stand in a gRPC message.
macro_rules! faults {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)*) => {
        /// Why a token is refused. The texts are Envoy's where it has one; they tell the client nothing that its token
        /// does not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum JwtFault { $($(#[$meta])* $name,)* }

        impl JwtFault {
            /// Every fault.
            pub const ALL: &'static [JwtFault] = &[$(JwtFault::$name),*];

            /// What the client is told.
            pub fn text(self) -> &'static str {
                match self { $(JwtFault::$name => $text,)* }
            }

            /// The answer's body: the text and a line end.
            pub fn line(self) -> &'static str {
                match self { $(JwtFault::$name => concat!($text, "\n"),)* }
            }

            /// `%RESPONSE_CODE_DETAILS%`, as Envoy's: blanks of the text are underscores, since logs are split at blanks.
            pub fn details(self) -> &'static str {
                match self {
                    $(JwtFault::$name => {
                        const DETAILS: &str = concat!("jwt_authn_access_denied{", $text, "}");
                        const BYTES: [u8; DETAILS.len()] = underscored(DETAILS);
                        const { match std::str::from_utf8(&BYTES) {
                            Ok(details) => details,
                            Err(_) => panic!("texts are ASCII"),
                        } }
                    })*
                }
            }
        }
    };
}

faults! {
    /// None where one is needed.
    Missing = "Jwt is missing",
    /// Different tokens in one request: which one an upstream would believe cannot be known (RFC 6750 section 2).
    MultipleTokens = "Found multiple Jwt tokens",
    /// Longer than any that is read.
    TooLong = "Jwt is too long",
    /// Not three parts; encrypted tokens (RFC 7516) have five.
    BadFormat = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    /// The header is not base64url.
    HeaderBase64 = "Jwt header is an invalid Base64url encoded",
    /// The header is not an object of JSON, or holds a name twice.
    HeaderJson = "Jwt header is an invalid JSON",
    /// No `alg`, or not a text.
    HeaderAlg = "Jwt header [alg] field is required and must be a string",
    /// `none`, an algorithm with a shared secret, or one that the provider does not allow.
    AlgorithmNotSupported = "Jwt header [alg] is not supported",
    /// `kid` is not a text.
    HeaderKid = "Jwt header [kid] field is not a string",
    /// The header says that something of it must be understood (RFC 7515 section 4.1.11); nothing is.
    HeaderCritical = "Jwt header [crit] is not supported",
    /// The payload is another token.
    Nested = "Jwt header [cty] is not supported",
    /// The payload is not base64url.
    PayloadBase64 = "Jwt payload is an invalid Base64url encoded",
    /// The payload is not an object of JSON, or holds a name twice.
    PayloadJson = "Jwt payload is an invalid JSON",
    /// `iss` is not a text.
    IssuerNotString = "Jwt payload [iss] field is not a string",
    /// `sub` is not a text.
    SubjectNotString = "Jwt payload [sub] field is not a string",
    /// `aud` is neither a text nor a list of texts.
    AudienceNotString = "Jwt payload [aud] field is not a string or string list",
    /// `iat` is no time.
    BadIssuedAt = "Jwt payload [iat] field is not a positive 64 bit integer",
    /// `nbf` is no time.
    BadNotBefore = "Jwt payload [nbf] field is not a positive 64 bit integer",
    /// `exp` is no time.
    BadExpiration = "Jwt payload [exp] field is not a positive 64 bit integer",
    /// The signature is not base64url.
    SignatureBase64 = "Jwt signature is an invalid Base64url encoded",
    /// `iss` is not the provider's.
    UnknownIssuer = "Jwt issuer is not configured",
    /// Nobody of `aud` is meant here.
    AudienceNotAllowed = "Audiences in Jwt are not allowed",
    /// `nbf` or `iat` is still to come.
    NotYetValid = "Jwt not yet valid",
    /// `exp` has passed.
    Expired = "Jwt is expired",
    /// No `exp` where the provider asks for one.
    ExpirationMissing = "Jwt payload [exp] field is required",
    /// No key has the token's `kid`, or none is for its algorithm.
    KeyNotFound = "Jwks doesn't have key to match kid or alg from Jwt",
    /// The signature is not by any of the keys that it may be by.
    VerificationFails = "Jwt verification fails",
    /// There are no keys yet: their source has never answered.
    KeysUnavailable = "Jwks remote fetch is failed",
}

impl JwtFault {
    /// True if the request brought a token: RFC 6750 section 3.1 has no error for one that did not.
    pub fn is_of_a_token(self) -> bool {
        self != JwtFault::Missing
    }
}

const fn underscored<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut out = [0; N];
    let mut at = 0;
    while at < N {
        out[at] = if bytes[at] == b' ' { b'_' } else { bytes[at] };
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_may_stand_in_a_grpc_message_and_details_in_a_log() {
        for fault in JwtFault::ALL {
            let text = fault.text();
            let legal = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%' && byte != b'"';
            assert!(!text.is_empty() && text.bytes().all(legal), "{text}");
            assert_eq!(fault.line(), format!("{text}\n"));
            let details = format!("jwt_authn_access_denied{{{}}}", text.replace(' ', "_"));
            assert_eq!(fault.details(), details);
        }
        assert_eq!(
            JwtFault::Expired.details(),
            "jwt_authn_access_denied{Jwt_is_expired}"
        );
    }
}
