//! The fields of a message: a flat, ordered list over one buffer.
//!
//! Each entry's bytes stand in the buffer as `name: value CRLF`, so that a run of untouched fields is written to the
//! wire by one copy. An edit drops an entry and leaves its bytes; they go when the buffer would have to grow.
//!
//! It does not parse lines (see `lines`) and judges no meaning.

use std::fmt;

use crate::known::{self, KnownName, KnownSet};
use crate::scan;
use crate::signals;

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) start: u32,
    pub(crate) value_start: u32,
    pub(crate) value_bytes: u32,
    pub(crate) name_bytes: u16,
    pub(crate) known: Option<KnownName>,
    /// The bytes from `start` on are exactly `name: value CRLF`.
    pub(crate) is_wire: bool,
}

impl Entry {
    fn name(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        &bytes[start..start + self.name_bytes as usize]
    }

    fn value(self, bytes: &[u8]) -> &[u8] {
        let start = self.value_start as usize;
        &bytes[start..start + self.value_bytes as usize]
    }

    fn wire_end(self) -> usize {
        (self.value_start + self.value_bytes) as usize + 2
    }
}

/// One field: its name in lower case, and its value without surrounding whitespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name's number, if it is a well-known one.
    pub known: Option<KnownName>,
    /// The name, a lower-case token.
    pub name: &'a [u8],
    /// The value: any bytes but controls, HTAB excepted.
    pub value: &'a [u8],
}

impl fmt::Debug for Field<'_> {
    /// Without the value, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} bytes)",
            String::from_utf8_lossy(self.name),
            self.value.len()
        )
    }
}

/// The fields of a head or of a trailer section, in order.
///
/// Names given to its methods must be lower-case tokens, and values free of controls but HTAB and of surrounding
/// whitespace; that is the caller's contract and asserted in debug builds.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    present: KnownSet,
}

impl Fields {
    /// No fields, and no memory held.
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.present = KnownSet::EMPTY;
    }

    /// Drops all fields and gives the memory back.
    pub fn release(&mut self) {
        *self = Self::new();
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all names and values together.
    pub fn bytes_len(&self) -> usize {
        self.entries
            .iter()
            .map(|entry| entry.name_bytes as usize + entry.value_bytes as usize)
            .sum()
    }

    /// The bytes of memory held.
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Which well-known names there are.
    pub fn present(&self) -> KnownSet {
        self.present
    }

    /// All fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Field<'_>> + DoubleEndedIterator {
        self.entries.iter().map(|entry| self.field(*entry))
    }

    /// The first value of this name.
    #[inline]
    pub fn get(&self, name: KnownName) -> Option<&[u8]> {
        if !self.present.contains(name) {
            return None;
        }
        self.entries
            .iter()
            .find(|entry| entry.known == Some(name))
            .map(|entry| entry.value(&self.bytes))
    }

    /// All values of this name, in order.
    pub fn get_all(&self, name: KnownName) -> impl Iterator<Item = &[u8]> {
        let entries = if self.present.contains(name) {
            &self.entries[..]
        } else {
            &[]
        };
        entries
            .iter()
            .filter(move |entry| entry.known == Some(name))
            .map(|entry| entry.value(&self.bytes))
    }

    /// Whether there is a field of this name.
    #[inline]
    pub fn contains(&self, name: KnownName) -> bool {
        self.present.contains(name)
    }

    /// The first value of this name, which is in lower case. A known name is found faster by [`get`](Self::get).
    pub fn find(&self, name: &str) -> Option<&[u8]> {
        self.find_all(name).next()
    }

    /// All values of this name, which is in lower case, in order.
    pub fn find_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let name = name.as_bytes();
        self.iter()
            .filter(move |field| field.name == name)
            .map(|field| field.value)
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.append(KnownName::from_lowercase(name), name, value);
    }

    /// Adds a field of a well-known name at the end.
    pub fn push_known(&mut self, name: KnownName, value: &[u8]) {
        self.append(Some(name), name.as_str().as_bytes(), value);
    }

    /// Makes this the one field of its name, where the first of them stood, or else at the end.
    pub fn set_known(&mut self, name: KnownName, value: &[u8]) {
        if !self.present.contains(name) {
            return self.push_known(name, value);
        }
        self.replace(Some(name), name.as_str().as_bytes(), value);
    }

    /// Makes this the one field of its name, where the first of them stood, or else at the end.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        match KnownName::from_lowercase(name) {
            Some(known) => self.set_known(known, value),
            None => self.replace(None, name, value),
        }
    }

    /// Drops all fields of this name.
    pub fn remove_known(&mut self, name: KnownName) {
        if self.present.contains(name) {
            self.entries.retain(|entry| entry.known != Some(name));
            self.present.remove(name);
        }
    }

    /// Drops all fields of this name, which is in lower case.
    pub fn remove(&mut self, name: &str) {
        match KnownName::from_lowercase(name.as_bytes()) {
            Some(known) => self.remove_known(known),
            None => self.retain(|field| field.name != name.as_bytes()),
        }
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let (bytes, mut present) = (&self.bytes, KnownSet::EMPTY);
        self.entries.retain(|entry| {
            let field = Field {
                known: entry.known,
                name: entry.name(bytes),
                value: entry.value(bytes),
            };
            let kept = keep(field);
            if let Some(known) = entry.known.filter(|_| kept) {
                present.insert(known);
            }
            kept
        });
        self.present = present;
    }

    fn field(&self, entry: Entry) -> Field<'_> {
        Field {
            known: entry.known,
            name: entry.name(&self.bytes),
            value: entry.value(&self.bytes),
        }
    }

    fn append(&mut self, known: Option<KnownName>, name: &[u8], value: &[u8]) {
        let entry = self.write(known, name, value);
        self.entries.push(entry);
    }

    /// Puts the bytes of a field into the buffer; the entry is the caller's to place.
    fn write(&mut self, known: Option<KnownName>, name: &[u8], value: &[u8]) -> Entry {
        debug_assert!(
            scan::is_lowercase_token(name),
            "field names are lower-case tokens"
        );
        debug_assert!(scan::is_value(value), "field values hold no controls");
        debug_assert!(scan::trim(value).len() == value.len(), "field values are trimmed");
        self.reserve(name.len() + value.len() + 4);
        let start = self.bytes.len();
        match known {
            Some(known) => {
                self.present.insert(known);
                self.bytes.extend_from_slice(known.line_start());
            }
            None => {
                self.bytes.extend_from_slice(name);
                self.bytes.extend_from_slice(b": ");
            }
        }
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        Entry {
            start: start as u32,
            value_start: value_start as u32,
            value_bytes: value.len() as u32,
            name_bytes: u16::try_from(name.len()).expect("field names are shorter than 64 KiB"),
            known,
            is_wire: true,
        }
    }

    fn replace(&mut self, known: Option<KnownName>, name: &[u8], value: &[u8]) {
        let bytes = &self.bytes;
        let is_same = |entry: &Entry| entry.known == known && (known.is_some() || entry.name(bytes) == name);
        let Some(first) = self.entries.iter().position(is_same) else {
            return self.append(known, name, value);
        };
        if self.entries[first + 1..].iter().any(is_same) {
            let mut index = 0;
            self.entries.retain(|entry| {
                index += 1;
                index - 1 <= first || !is_same(entry)
            });
        }
        let entry = self.entries[first];
        if entry.value_bytes as usize == value.len() {
            debug_assert!(scan::is_value(value), "field values hold no controls");
            // As long as the old one: ids are.
            let start = entry.value_start as usize;
            self.bytes[start..start + value.len()].copy_from_slice(value);
            return;
        }
        self.entries[first] = self.write(known, name, value);
    }

    #[inline(always)]
    fn reserve(&mut self, more: usize) {
        // Places in the buffer are 32 bits.
        if self.bytes.len() + more > self.bytes.capacity().min(u32::MAX as usize) {
            self.make_room(more);
        }
    }

    /// Makes room, by leaving out dropped bytes if they are more than half of what there is.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        assert!(needed <= u32::MAX as usize, "fields stay under 4 GiB");
        if (self.bytes_len() + 4 * self.len()) * 2 >= self.bytes.len() {
            return self.bytes.reserve(more);
        }
        let mut compact = Self {
            bytes: Vec::with_capacity(self.bytes.capacity()),
            ..Self::default()
        };
        for entry in &self.entries {
            compact.append(entry.known, entry.name(&self.bytes), entry.value(&self.bytes));
        }
        compact.bytes.reserve(more);
        *self = compact;
    }

    /// Drops the fields of `always`, and those that `connection` names and `kept` does not hold.
    pub(crate) fn drop_hops(&mut self, always: KnownSet, kept: KnownSet) {
        let (mut named, mut names_unknown) = (KnownSet::EMPTY, false);
        for value in self.get_all(KnownName::Connection) {
            // Nearly every value is one of these two.
            if signals::is_persistence(value) {
                continue;
            }
            for option in scan::list_members(value) {
                match KnownName::from_any_case(option) {
                    Some(known) => named.insert(known),
                    None => names_unknown = true,
                }
            }
        }
        if names_unknown {
            self.drop_unknown_hops();
        }
        let gone = always.union(named.without(kept));
        // Nearly always one goes, and then this is cheaper than `retain`.
        let is_gone = |entry: &Entry| entry.known.is_some_and(|known| gone.contains(known));
        let mut at = 0;
        while let Some(next) = self.entries[at..].iter().position(is_gone) {
            at += next;
            self.entries.remove(at);
        }
        self.present = self.present.without(gone);
    }

    /// Drops the fields that `connection` names and that have no number.
    fn drop_unknown_hops(&mut self) {
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            let name = entry.name(&self.bytes);
            let options = self.get_all(KnownName::Connection).flat_map(scan::list_members);
            if entry.known.is_none()
                && options
                    .into_iter()
                    .any(|option| option.eq_ignore_ascii_case(name))
            {
                self.entries.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Appends all fields but those of `skipped`, as they stand on the wire.
    pub(crate) fn write_wire(&self, skipped: KnownSet, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for entry in &self.entries {
            if entry.known.is_some_and(|known| skipped.contains(known)) {
                continue;
            }
            let start = entry.start as usize;
            if entry.is_wire && start == run.end {
                run.end = entry.wire_end();
                continue;
            }
            out.extend_from_slice(&self.bytes[run]);
            if entry.is_wire {
                run = start..entry.wire_end();
                continue;
            }
            run = 0..0;
            for part in [entry.name(&self.bytes), b": ", entry.value(&self.bytes), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        out.extend_from_slice(&self.bytes[run]);
    }

    /// Where the bytes of the next lines will start; for `lines`, which then calls `end_lines`.
    pub(crate) fn begin_lines(&self) -> (u32, usize) {
        (self.bytes.len() as u32, self.entries.len())
    }

    /// Adds the entry of a line whose bytes `end_lines` will bring.
    #[inline(always)]
    pub(crate) fn push_line(&mut self, entry: Entry) {
        if let Some(known) = entry.known {
            self.present.insert(known);
        }
        self.entries.push(entry);
    }

    /// Brings the bytes of the lines pushed since `begin_lines`, and lowers the names that need it.
    pub(crate) fn end_lines(&mut self, first: usize, lines: &[u8], some_upper: bool) {
        self.bytes.extend_from_slice(lines);
        if !some_upper {
            return;
        }
        for entry in &self.entries[first..] {
            let line = &mut self.bytes[entry.start as usize..];
            match entry.known {
                Some(known) => known.write_lowercase(line),
                None => known::lower(&mut line[..entry.name_bytes as usize]),
            }
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Fields {
    /// The same names and values in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

#[cfg(test)]
mod tests;
