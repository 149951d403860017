//! What a request path means: normalization, before anything is matched or forwarded.
//!
//! Dot segments are removed (RFC 3986, 5.2.4), escapes of unreserved characters decoded and the others written in
//! capitals (6.2.2), so that one resource has one spelling, and a route or policy cannot be gone around by another.
//! Escaped and repeated slashes are kept, resolved or refused as the listener says. A path never climbs above its
//! root. The query is not touched. What cannot be read in one way only is a [`PathFault`], never a guess. A `\` is a
//! character like others and separates nothing.

use outrigger_config::model::{EscapedSlashes, RepeatedSlashes};
use std::borrow::Cow;

/// A target in origin form, or `*`, with its path in the one spelling that is matched and forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalized<'a> {
    target: Cow<'a, str>,
    path_bytes: usize,
}

impl Normalized<'_> {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        &self.target[..self.path_bytes]
    }

    /// The query as it came, without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.target[self.path_bytes..].strip_prefix('?')
    }

    /// Path and query together.
    pub fn path_and_query(&self) -> &str {
        &self.target
    }

    /// The target differs from what came.
    pub fn is_rewritten(&self) -> bool {
        matches!(self.target, Cow::Owned(_))
    }

    /// Path and query together, without copying what is owned.
    pub fn into_path_and_query(self) -> String {
        self.target.into_owned()
    }
}

/// Why a target is refused (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with `/`, and is not `*`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// It holds a `#`: fragments are never sent.
    #[error("the target holds a fragment")]
    Fragment,
    /// It holds a blank or a control character that is not escaped.
    #[error("the path holds a blank or a control character")]
    ControlCharacter,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("the path holds an escape that is not two hexadecimal digits")]
    InvalidEscape,
    /// `%00`.
    #[error("the path holds an escaped NUL")]
    EscapedNul,
    /// `%2F` or `%5C`, where the listener refuses them.
    #[error("the path holds an escaped slash or backslash")]
    EscapedSlash,
    /// `//`, where the listener refuses it.
    #[error("the path holds repeated slashes")]
    RepeatedSlash,
}

impl PathFault {
    /// Every fault, for registering counters ahead.
    pub const ALL: &'static [PathFault] = &[
        PathFault::NotAbsolute,
        PathFault::Fragment,
        PathFault::ControlCharacter,
        PathFault::InvalidEscape,
        PathFault::EscapedNul,
        PathFault::EscapedSlash,
        PathFault::RepeatedSlash,
    ];

    /// One word for logs and labels.
    pub fn reason(self) -> &'static str {
        match self {
            PathFault::NotAbsolute => "path_not_absolute",
            PathFault::Fragment => "path_fragment",
            PathFault::ControlCharacter => "path_control_character",
            PathFault::InvalidEscape => "path_invalid_escape",
            PathFault::EscapedNul => "path_escaped_nul",
            PathFault::EscapedSlash => "path_escaped_slash",
            PathFault::RepeatedSlash => "path_repeated_slash",
        }
    }
}

/// Normalizes a target. One that is normal already is scanned once and lent back; normalizing twice changes nothing.
/// As in Envoy, escaped slashes are resolved first, then dot segments, then repeated slashes.
pub fn normalize(
    path_and_query: &str,
    escaped_slashes: EscapedSlashes,
    repeated_slashes: RepeatedSlashes,
) -> Result<Normalized<'_>, PathFault> {
    let scan = scan(path_and_query, escaped_slashes, repeated_slashes)?;
    let (path, query) = path_and_query.split_at(scan.path_bytes);
    if !query.is_empty() && memchr::memchr(b'#', query.as_bytes()).is_some() {
        return Err(PathFault::Fragment);
    }
    if scan.is_normal {
        return Ok(Normalized {
            target: Cow::Borrowed(path_and_query),
            path_bytes: scan.path_bytes,
        });
    }
    let unescaped = unescape(path, escaped_slashes);
    if repeated_slashes == RepeatedSlashes::Refuse && unescaped.contains("//") {
        return Err(PathFault::RepeatedSlash);
    }
    let mut target = remove_dot_segments(&unescaped, query.len());
    if repeated_slashes == RepeatedSlashes::Merge {
        let mut before = 0;
        target.retain(|character| {
            std::mem::replace(&mut before, character as u32) != SLASH || character != '/'
        });
    }
    let path_bytes = target.len();
    target.push_str(query);
    Ok(Normalized {
        target: Cow::Owned(target),
        path_bytes,
    })
}

const SLASH: u32 = '/' as u32;

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// What a byte of a path asks of the scan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Slash,
    Percent,
    Query,
    Fragment,
    Control,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte <= b' ' as usize {
        classes[byte] = Class::Control;
        byte += 1;
    }
    classes[0x7f] = Class::Control;
    classes[b'/' as usize] = Class::Slash;
    classes[b'%' as usize] = Class::Percent;
    classes[b'?' as usize] = Class::Query;
    classes[b'#' as usize] = Class::Fragment;
    classes
};

struct Scan {
    path_bytes: usize,
    is_normal: bool,
}

/// Finds the path's end and every fault but repeated slashes that appear by unescaping, and whether anything must change.
fn scan(target: &str, escaped: EscapedSlashes, repeated: RepeatedSlashes) -> Result<Scan, PathFault> {
    let bytes = target.as_bytes();
    if bytes.first() != Some(&b'/') {
        let is_asterisk = target == "*";
        return if is_asterisk {
            Ok(Scan {
                path_bytes: 1,
                is_normal: true,
            })
        } else {
            Err(PathFault::NotAbsolute)
        };
    }
    let mut is_normal = true;
    let mut at = 0;
    let is_special = |&byte: &u8| CLASSES[byte as usize] != Class::Plain;
    while let Some(plain) = bytes[at..].iter().position(is_special) {
        at += plain;
        match CLASSES[bytes[at] as usize] {
            Class::Plain => {}
            Class::Slash => {
                at += 1;
                match bytes.get(at) {
                    Some(b'/') => match repeated {
                        RepeatedSlashes::Keep => {}
                        RepeatedSlashes::Merge => is_normal = false,
                        RepeatedSlashes::Refuse => return Err(PathFault::RepeatedSlash),
                    },
                    Some(b'.') => is_normal &= !begins_with_dot_segment(&bytes[at..]),
                    _ => {}
                }
            }
            Class::Percent => {
                is_normal &= escape_is_normal(&bytes[at + 1..], escaped)?;
                at += 3;
            }
            Class::Query => {
                let path_bytes = at;
                return Ok(Scan {
                    path_bytes,
                    is_normal,
                });
            }
            Class::Fragment => return Err(PathFault::Fragment),
            Class::Control => return Err(PathFault::ControlCharacter),
        }
    }
    let path_bytes = bytes.len();
    Ok(Scan {
        path_bytes,
        is_normal,
    })
}

/// `.` or `..`, and then the segment ends.
fn begins_with_dot_segment(bytes: &[u8]) -> bool {
    let rest = bytes
        .strip_prefix(b"..")
        .or_else(|| bytes.strip_prefix(b"."))
        .unwrap_or(bytes);
    matches!(rest.first(), None | Some(b'/' | b'?'))
}

/// Whether the escape whose digits these bytes begin with stays as it is.
fn escape_is_normal(digits: &[u8], escaped_slashes: EscapedSlashes) -> Result<bool, PathFault> {
    let byte = escaped_byte(digits).ok_or(PathFault::InvalidEscape)?;
    match byte {
        0 => return Err(PathFault::EscapedNul),
        b'/' | b'\\' if escaped_slashes == EscapedSlashes::Refuse => return Err(PathFault::EscapedSlash),
        b'/' | b'\\' if escaped_slashes == EscapedSlashes::Unescape => return Ok(false),
        _ => {}
    }
    let in_capitals = !digits[..2].iter().any(u8::is_ascii_lowercase);
    Ok(in_capitals && !is_unreserved(byte))
}

fn escaped_byte(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    Some(hex_digit(*high)? << 4 | hex_digit(*low)?)
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes what need not be escaped, and slashes if they are to be; writes other escapes in capitals. All escapes have
/// been found valid.
fn unescape(path: &str, escaped_slashes: EscapedSlashes) -> String {
    let mut unescaped = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, escape)) = rest.split_once('%') {
        unescaped.push_str(before);
        let Some((digits, after)) = escape.split_at_checked(2) else {
            break;
        };
        rest = after;
        let slashes = escaped_slashes == EscapedSlashes::Unescape;
        match escaped_byte(digits.as_bytes()) {
            Some(byte) if is_unreserved(byte) || (slashes && matches!(byte, b'/' | b'\\')) => {
                unescaped.push(byte as char);
            }
            _ => {
                unescaped.push('%');
                unescaped.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    unescaped.push_str(rest);
    unescaped
}

/// RFC 3986, 5.2.4, on a path that begins with `/`; leaves room for so many bytes more.
fn remove_dot_segments(path: &str, room: usize) -> String {
    let mut output = String::with_capacity(path.len() + room);
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => output.truncate(output.rfind('/').unwrap_or(0)),
            segment => {
                output.push('/');
                output.push_str(segment);
                continue;
            }
        }
        if segments.peek().is_none() {
            output.push('/');
        }
    }
    output
}

#[cfg(test)]
mod tests;
