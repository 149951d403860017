//! Field lines, of heads and of trailer sections: bytes to entries of `Fields`.
//!
//! It checks syntax. What a field means is for the caller's `note`.

use crate::blocks;
use crate::error::Fault;
use crate::fields::{Entry, Fields};
use crate::known::{self, KnownName};
use crate::scan::{self, TOKEN_LOWER};

/// What is kept between two calls on one section.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// Bytes of whole lines consumed so far; also of the first line, where there is one.
    pub(crate) bytes: u32,
    /// Field lines so far.
    pub(crate) lines: u32,
    /// Bytes of the line at hand in which no LF was found, so that input in small pieces is not scanned again.
    pub(crate) scanned: usize,
}

/// How far one call came.
pub(crate) struct Progress {
    pub(crate) consumed: usize,
    pub(crate) is_end: bool,
}

/// Whether a noted field becomes an entry.
pub(crate) enum Keep {
    Yes,
    No,
}

enum Line {
    End,
    Incomplete,
    Field(Parsed),
}

/// A line with a known name, one space before its value, and CRLF after it.
struct Usual<'v> {
    known: KnownName,
    name_bytes: usize,
    is_lowercase: bool,
    value_start: usize,
    value: &'v [u8],
}

struct Parsed {
    known: Option<KnownName>,
    name_bytes: usize,
    is_lowercase: bool,
    value_start: usize,
    value_end: usize,
    /// After the LF.
    end: usize,
}

impl Section {
    /// Where the LF of the line is that `view` starts with; else its bytes are counted as scanned.
    pub(crate) fn find_lf(&mut self, view: &[u8]) -> Option<usize> {
        let fresh = view.get(self.scanned..).unwrap_or_default();
        let lf = memchr::memchr(b'\n', fresh).map(|at| self.scanned + at);
        self.scanned = if lf.is_some() { 0 } else { view.len() };
        lf
    }

    /// Whether the next line may hold an LF; else its bytes were counted as scanned.
    fn line_may_be_whole(&mut self, view: &[u8]) -> bool {
        if self.scanned == 0 {
            return true;
        }
        let is_whole = view
            .get(self.scanned..)
            .is_some_and(|fresh| memchr::memchr(b'\n', fresh).is_some());
        self.scanned = if is_whole { 0 } else { view.len() };
        is_whole
    }

    /// Takes the whole lines of `view` into `fields`, up to and with the empty line.
    ///
    /// `note` is asked about each field whose name `is_noted`. The caller has cut `view` to what is left of the
    /// section's limit of bytes.
    pub(crate) fn read<E, N, F>(
        &mut self,
        view: &[u8],
        fields: &mut Fields,
        lines_max: u32,
        is_noted: N,
        note: F,
    ) -> Result<Progress, E>
    where
        E: From<Fault>,
        N: Fn(KnownName) -> bool,
        F: FnMut(KnownName, &[u8]) -> Result<Keep, E>,
    {
        if !self.line_may_be_whole(view) {
            return Ok(Progress {
                consumed: 0,
                is_end: false,
            });
        }
        let result = self.read_lines(view, fields, lines_max, is_noted, note);
        if result.is_err() {
            // Entries were pushed whose bytes never came.
            fields.clear();
        }
        result
    }

    #[inline]
    fn read_lines<E, N, F>(
        &mut self,
        view: &[u8],
        fields: &mut Fields,
        lines_max: u32,
        is_noted: N,
        note: F,
    ) -> Result<Progress, E>
    where
        E: From<Fault>,
        N: Fn(KnownName) -> bool,
        F: FnMut(KnownName, &[u8]) -> Result<Keep, E>,
    {
        let (base, first) = fields.begin_lines();
        let mut taker = Taker {
            fields,
            base,
            lines_left: lines_max - self.lines,
            some_upper: false,
            is_noted,
            note,
        };
        let mut at = 0;
        let is_end = loop {
            while let Some(line) = parse_usual_line(view, at) {
                taker.take_usual(&line, at)?;
                at = line.value_start + line.value.len() + 2;
            }
            match parse_line(view, at)? {
                Line::Field(line) => {
                    taker.take(&line, view, at)?;
                    at = line.end;
                }
                Line::End => break true,
                Line::Incomplete => {
                    self.scanned = view.len() - at;
                    break false;
                }
            }
        };
        self.lines = lines_max - taker.lines_left;
        let some_upper = taker.some_upper;
        fields.end_lines(first, &view[..at], some_upper);
        let consumed = if is_end { at + 2 } else { at };
        self.bytes += consumed as u32;
        Ok(Progress { consumed, is_end })
    }
}

/// What becomes of the lines that were parsed.
struct Taker<'t, N, F> {
    fields: &'t mut Fields,
    /// Where in the fields' bytes those of `view` will start.
    base: u32,
    lines_left: u32,
    some_upper: bool,
    is_noted: N,
    note: F,
}

impl<N: Fn(KnownName) -> bool, F> Taker<'_, N, F> {
    #[inline(always)]
    fn take_usual<E>(&mut self, line: &Usual<'_>, start: usize) -> Result<(), E>
    where
        E: From<Fault>,
        F: FnMut(KnownName, &[u8]) -> Result<Keep, E>,
    {
        self.count()?;
        if (self.is_noted)(line.known)
            && let Keep::No = (self.note)(line.known, line.value)?
        {
            return Ok(());
        }
        self.some_upper |= !line.is_lowercase;
        self.fields.push_line(Entry {
            start: self.base + start as u32,
            value_start: self.base + line.value_start as u32,
            value_bytes: line.value.len() as u32,
            name_bytes: line.name_bytes as u16,
            known: Some(line.known),
            is_wire: true,
        });
        Ok(())
    }

    #[inline(always)]
    fn take<E>(&mut self, line: &Parsed, view: &[u8], start: usize) -> Result<(), E>
    where
        E: From<Fault>,
        F: FnMut(KnownName, &[u8]) -> Result<Keep, E>,
    {
        self.count()?;
        if let Some(known) = line.known.filter(|known| (self.is_noted)(*known))
            && let Keep::No = (self.note)(known, &view[line.value_start..line.value_end])?
        {
            return Ok(());
        }
        self.some_upper |= !line.is_lowercase;
        self.fields.push_line(line.entry(self.base, start));
        Ok(())
    }

    #[inline(always)]
    fn count(&mut self) -> Result<(), Fault> {
        self.lines_left = self.lines_left.checked_sub(1).ok_or(Fault::TooManyFields)?;
        Ok(())
    }
}

impl Parsed {
    #[inline]
    fn entry(&self, base: u32, line: usize) -> Entry {
        Entry {
            start: base + line as u32,
            value_start: base + self.value_start as u32,
            value_bytes: (self.value_end - self.value_start) as u32,
            name_bytes: self.name_bytes as u16,
            known: self.known,
            is_wire: self.value_start == line + self.name_bytes + 2 && self.value_end + 2 == self.end,
        }
    }
}

/// The line at `start` if it is as nearly all lines are: a known name, a colon, one space, a value that is not empty
/// and has no control in it, no more space, CRLF.
#[inline(always)]
fn parse_usual_line(view: &[u8], start: usize) -> Option<Usual<'_>> {
    let line = view.get(start..)?;
    let spotted = known::spot(line)?;
    let name_bytes = spotted.length as usize;
    let (before, rest) = line.split_at_checked(name_bytes + 2)?;
    // Tabs are controls too, so that blanks at the value's ends can only be spaces.
    let value_bytes = blocks::first_in_end(view, rest, blocks::controls);
    let (value, after) = rest.split_at_checked(value_bytes)?;
    let is_usual = after.starts_with(b"\r\n")
        && before[name_bytes + 1] == b' '
        && value.first().is_some_and(|byte| *byte != b' ')
        && value.last() != Some(&b' ');
    is_usual.then_some(Usual {
        known: spotted.known,
        name_bytes,
        is_lowercase: spotted.is_lowercase,
        value_start: start + name_bytes + 2,
        value,
    })
}

/// The line at `start`. A fault in it is told once its LF is there.
#[inline(never)]
fn parse_line(view: &[u8], start: usize) -> Result<Line, Fault> {
    match try_parse_line(view, start) {
        Err(_) if memchr::memchr(b'\n', &view[start..]).is_none() => Ok(Line::Incomplete),
        result => result,
    }
}

#[inline]
fn try_parse_line(view: &[u8], start: usize) -> Result<Line, Fault> {
    let rest = &view[start..];
    match rest {
        [b'\r', b'\n', ..] => return Ok(Line::End),
        [] | [b'\r'] => return Ok(Line::Incomplete),
        _ => {}
    }
    let (known, name_bytes, is_lowercase) = match known::spot(rest) {
        Some(spotted) => (Some(spotted.known), spotted.length as usize, spotted.is_lowercase),
        None => {
            let (length, is_lowercase) = parse_name(rest)?;
            (None, length, is_lowercase)
        }
    };
    let mut value_start = start + name_bytes + 1;
    let mut end = value_start;
    loop {
        end = scan::first_control(view, end);
        match view.get(end) {
            Some(b'\t') => end += 1,
            Some(b'\r') => match view.get(end + 1) {
                Some(b'\n') => break,
                Some(_) => return Err(Fault::BareCr),
                None => return Ok(Line::Incomplete),
            },
            Some(b'\n') => return Err(Fault::BareLf),
            Some(0) => return Err(Fault::NulByte),
            Some(_) => return Err(Fault::InvalidFieldValue),
            None => return Ok(Line::Incomplete),
        }
    }
    let mut value_end = end;
    while value_start < value_end && is_blank(view[value_start]) {
        value_start += 1;
    }
    while value_start < value_end && is_blank(view[value_end - 1]) {
        value_end -= 1;
    }
    Ok(Line::Field(Parsed {
        known,
        name_bytes,
        is_lowercase,
        value_start,
        value_end,
        end: end + 2,
    }))
}

#[inline]
fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The length of the name before its colon, and whether it is in lower case.
fn parse_name(line: &[u8]) -> Result<(usize, bool), Fault> {
    let mut is_lowercase = true;
    for (at, &byte) in line.iter().enumerate() {
        let lower = TOKEN_LOWER[byte as usize];
        if lower == 0 {
            if byte == b':' && at > 0 && at <= u16::MAX as usize {
                return Ok((at, is_lowercase));
            }
            return Err(name_fault(line, at));
        }
        is_lowercase &= lower == byte;
    }
    // There is no LF: the caller makes this "incomplete".
    Err(Fault::MissingColon)
}

/// What the byte at `at`, the first that is of no token, makes of a line that should start with a name.
fn name_fault(line: &[u8], at: usize) -> Fault {
    match line[at] {
        b' ' | b'\t' if at == 0 => Fault::ObsoleteFolding,
        b' ' | b'\t' => match line[at..].iter().find(|byte| !is_blank(**byte)) {
            Some(b':') => Fault::WhitespaceBeforeColon,
            _ => Fault::InvalidFieldName,
        },
        b'\r' if line.get(at + 1) == Some(&b'\n') => Fault::MissingColon,
        b'\r' => Fault::BareCr,
        b'\n' => Fault::BareLf,
        0 => Fault::NulByte,
        // A name of 64 KiB: no limit on heads that is in use lets it come here.
        b':' if at > 0 => Fault::HeadTooLarge,
        _ => Fault::InvalidFieldName,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of every combination of these, in what comes after and without anything after.
    fn lines() -> impl Iterator<Item = (Vec<u8>, usize)> {
        const NAMES: &[&str] = &[
            "host",
            "Content-Length",
            "x-unknown",
            "STRICT-transport-security",
            "",
            "vi\ra",
        ];
        const COLONS: &[&str] = &[":", ": ", " : ", ":  ", ":\t", " "];
        const VALUES: &[&[u8]] = &[
            b"",
            b"a",
            b" ",
            b"a b",
            b"a\tb",
            b"a\0",
            b"a\x7f",
            b"\xff",
            b"sixteen bytes or",
            b"a line of more than 32 bytes, \x1f",
            b"a line of more than two blocks' bytes",
        ];
        const ENDS: &[&str] = &["\r\n", " \r\n", "\t\r\n", "\n", "\r", "\r\r\n"];
        const AFTER: &[&str] = &[
            "",
            "\r\n",
            "via: b\r\n\r\nbody of some more bytes than there are in a block",
        ];
        NAMES
            .iter()
            .flat_map(|name| {
                COLONS
                    .iter()
                    .map(move |colon| [name.as_bytes(), colon.as_bytes()].concat())
            })
            .flat_map(|start| {
                let with_value = |value: &&[u8]| [&start[..], value].concat();
                VALUES.iter().map(with_value).collect::<Vec<_>>()
            })
            .flat_map(|line| ENDS.iter().map(move |end| [&line[..], end.as_bytes()].concat()))
            .flat_map(|line| {
                AFTER.iter().map(move |after| {
                    (
                        ["ab".as_bytes(), &line[..], after.as_bytes()].concat(),
                        line.len(),
                    )
                })
            })
    }

    #[test]
    fn usual_lines_are_read_as_all_are() {
        let mut usual_lines = 0;
        for (view, length) in lines() {
            let Some(usual) = parse_usual_line(&view, 2) else {
                continue;
            };
            let Ok(Line::Field(line)) = parse_line(&view, 2) else {
                panic!("{} is refused", view.escape_ascii());
            };
            assert_eq!(line.end, length + 2, "{}", view.escape_ascii());
            assert_eq!(
                (Some(usual.known), usual.name_bytes),
                (line.known, line.name_bytes)
            );
            assert_eq!(usual.is_lowercase, line.is_lowercase);
            assert_eq!(usual.value, &view[line.value_start..line.value_end]);
            assert_eq!(usual.value_start, line.value_start);
            usual_lines += 1;
        }
        // Three known names, five good values, in three surroundings.
        assert_eq!(usual_lines, 3 * 5 * 3);
    }
}
