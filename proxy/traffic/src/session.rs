//! Session cookies: which endpoint a client's cookie names, and the cookie that names one.
//!
//! A cookie's value is a digest of cluster and endpoint address. It is the same on every proxy and after every restart,
//! so that nothing has to be stored or shared; and it says nothing to whoever does not know the address already. It is
//! no secret: who guesses both can tell that he is right, and may ask for an endpoint of his choice, as with every such
//! cookie.

use aws_lc_rs::digest::{SHA256, digest};
use foldhash::fast::FixedState;
use outrigger_config::model::{SameSite, SessionCookie};
use std::collections::HashMap;
use std::fmt;

/// Bytes of the digest that are kept: no two endpoints of a cluster will ever share them.
const KEY_BYTES: usize = 16;

/// What a cookie says: one endpoint of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; KEY_BYTES]);

impl SessionKey {
    /// The key of an endpoint, by its cluster's name and its own: an address, or the name of which it is an address.
    pub fn of(cluster: &str, endpoint: &str) -> SessionKey {
        // Names hold no NUL: no two clusters and addresses make the same text.
        let digest = digest(&SHA256, format!("{cluster}\0{endpoint}").as_bytes());
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&digest.as_ref()[..KEY_BYTES]);
        SessionKey(key)
    }

    /// The key that a cookie's value holds; none if it is no value that [`SessionKey`] displays as.
    pub fn parse(value: &[u8]) -> Option<SessionKey> {
        let (pairs, []) = value.as_chunks::<2>() else {
            return None;
        };
        let mut key = [0; KEY_BYTES];
        if pairs.len() != key.len() {
            return None;
        }
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            *byte = lower_hex(*high)? << 4 | lower_hex(*low)?;
        }
        Some(SessionKey(key))
    }
}

fn lower_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A cluster's endpoints by their keys: a look-up takes one hash, however many there are.
#[derive(Debug)]
pub struct SessionTable(HashMap<SessionKey, u32, FixedState>);

impl SessionTable {
    /// The table of endpoints with these keys, by their places.
    pub fn new(keys: impl Iterator<Item = SessionKey>) -> SessionTable {
        SessionTable(keys.zip(0..).collect())
    }

    /// The place of the endpoint with this key.
    pub fn find(&self, key: SessionKey) -> Option<usize> {
        self.0.get(&key).map(|&place| place as usize)
    }
}

/// A policy with what every cookie of it has in common written once.
#[derive(Debug)]
pub struct SessionPolicy {
    name: Box<str>,
    attributes: Box<str>,
    always_secure: bool,
    strict: bool,
}

impl SessionPolicy {
    /// Compiles a policy.
    pub fn compile(cookie: &SessionCookie) -> SessionPolicy {
        let mut attributes = format!("; Path={}", cookie.path());
        if let Some(max_age) = cookie.max_age() {
            attributes.push_str(&format!("; Max-Age={}", max_age.as_secs()));
        }
        attributes.push_str("; HttpOnly");
        attributes.push_str(match cookie.same_site() {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        });
        SessionPolicy {
            name: cookie.name().as_str().into(),
            attributes: attributes.into(),
            always_secure: cookie.same_site() == Some(SameSite::None),
            strict: cookie.strict(),
        }
    }

    /// A request whose endpoint is not there any more goes nowhere else.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// The key that a request's `cookie` fields hold: of several cookies of the name, the first that can be read.
    pub fn key_in<'f>(&self, fields: impl Iterator<Item = &'f [u8]>) -> Option<SessionKey> {
        fields
            .flat_map(|field| field.split(|byte| *byte == b';'))
            .filter_map(|pair| {
                let pair = pair.trim_ascii().strip_prefix(self.name.as_bytes())?;
                SessionKey::parse(pair.strip_prefix(b"=")?)
            })
            .next()
    }

    /// The `set-cookie` that names an endpoint. `https`: the client came by HTTPS, and shall send it by nothing else.
    pub fn set_cookie(&self, key: SessionKey, https: bool) -> String {
        let secure = if https || self.always_secure {
            "; Secure"
        } else {
            ""
        };
        format!("{}={key}{}{secure}", self.name, self.attributes)
    }
}
