//! Putting records into words and taking them out again.

use super::ring::Word;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;

/// Puts values one after the other into a record's words. What has no place any more is left out, and
/// [`Packer::is_full`] tells.
pub(super) struct Packer<'w, W> {
    words: usize,
    rest: &'w [W],
    /// Words at the end that are left alone: what did not fit was to go there.
    closed: usize,
    full: bool,
}

impl<'w, W: Word> Packer<'w, W> {
    #[inline(always)]
    pub(super) fn new(words: &'w [W]) -> Packer<'w, W> {
        Packer {
            words: words.len(),
            rest: words,
            closed: 0,
            full: false,
        }
    }

    /// How many words were put.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.words - self.closed - self.rest.len()
    }

    /// True once something had no place.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Puts all of these words or none.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, values: [u64; N]) -> bool {
        match self.rest.split_first_chunk::<N>() {
            Some((places, rest)) => {
                for (place, value) in places.iter().zip(values) {
                    place.store(value, Ordering::Relaxed);
                }
                self.rest = rest;
                true
            }
            None => {
                self.close();
                false
            }
        }
    }

    /// Nothing has a place any more: what follows would be read as what was left out.
    #[inline(always)]
    fn close(&mut self) {
        self.full = true;
        self.closed += self.rest.len();
        self.rest = &[];
    }

    /// Puts bytes, eight to a word; zeros fill the last one. Their number has to be known from elsewhere.
    #[inline(always)]
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        let (whole, tail) = bytes.as_chunks::<8>();
        let count = bytes.len().div_ceil(8);
        let Some((places, rest)) = self.rest.split_at_checked(count) else {
            return self.close();
        };
        self.rest = rest;
        for (place, bytes) in places.iter().zip(whole) {
            place.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        if let (false, Some(place)) = (tail.is_empty(), places.last()) {
            place.store(last_word(tail, bytes), Ordering::Relaxed);
        }
    }

    /// Puts a text with its length before it, of at most so many bytes.
    pub(super) fn put_text(&mut self, text: &str, bytes_max: usize) {
        let bytes = &text.as_bytes()[..text.len().min(bytes_max)];
        // Both or none: a length without its bytes would be read as that of what follows.
        if 1 + bytes.len().div_ceil(8) > self.rest.len() {
            return self.close();
        }
        self.put([bytes.len() as u64]);
        self.put_bytes(bytes);
    }

    /// Puts an address: three words.
    #[inline(always)]
    pub(super) fn put_address(&mut self, address: Option<SocketAddr>) {
        self.put(address_words(address));
    }
}

/// The last bytes of a text as a word; `all` ends with them.
#[inline(always)]
fn last_word(rest: &[u8], all: &[u8]) -> u64 {
    match all.last_chunk::<8>() {
        // The bytes before are there already: they are moved out.
        Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest.len())),
        None => rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// An IPv4 address is told by its last word; none is all zeros.
#[inline(always)]
fn address_words(address: Option<SocketAddr>) -> [u64; 3] {
    const V4: u64 = 1 << 16;
    const V6: u64 = 2 << 16;
    match address {
        None => [0; 3],
        Some(SocketAddr::V4(address)) => [
            0,
            u64::from(address.ip().to_bits()),
            V4 | u64::from(address.port()),
        ],
        Some(SocketAddr::V6(address)) => {
            let bits = address.ip().to_bits();
            [(bits >> 64) as u64, bits as u64, V6 | u64::from(address.port())]
        }
    }
}

/// Takes values out of a record's words in the order in which they were put; none when there are no more.
pub(super) struct Unpacker<'w> {
    words: &'w [u64],
}

impl<'w> Unpacker<'w> {
    pub(super) fn new(words: &'w [u64]) -> Unpacker<'w> {
        Unpacker { words }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Option<[u64; N]> {
        let (values, rest) = self.words.split_first_chunk::<N>()?;
        self.words = rest;
        Some(*values)
    }

    pub(super) fn take_bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let words = self.words.get(..count.div_ceil(8))?;
        self.words = &self.words[words.len()..];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(count);
        Some(bytes)
    }

    /// A text that may have been cut in a character, which is then shown as one that is not known.
    pub(super) fn take_string(&mut self, count: usize) -> Option<String> {
        let bytes = self.take_bytes(count)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn take_text(&mut self) -> Option<String> {
        let [length] = self.take()?;
        self.take_string(usize::try_from(length).ok()?)
    }

    pub(super) fn take_address(&mut self) -> Option<Option<SocketAddr>> {
        let [high, low, last] = self.take()?;
        let port = last as u16;
        Some(match last >> 16 {
            1 => Some(SocketAddr::new(IpAddr::from((low as u32).to_be_bytes()), port)),
            2 => {
                let bits = u128::from(high) << 64 | u128::from(low);
                Some(SocketAddr::new(Ipv6Addr::from_bits(bits).into(), port))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn texts_of_every_length_come_back() {
        for length in 0..40 {
            let text: String = "abcdefghijklmnopqrstuvwxyz0123456789ABCD"[..length].to_owned();
            let words = [const { AtomicU64::new(u64::MAX) }; 8];
            let mut packer = Packer::new(&words);
            packer.put_text(&text, 100);
            packer.put([7]);
            let count = packer.len();
            assert!(!packer.is_full());
            let words = words.map(AtomicU64::into_inner);
            let mut unpacker = Unpacker::new(&words[..count]);
            assert_eq!(unpacker.take_text(), Some(text));
            assert_eq!(unpacker.take(), Some([7]));
            assert_eq!(unpacker.take::<1>(), None);
        }
    }

    #[test]
    fn what_has_no_place_is_left_out_whole() {
        let words = [const { AtomicU64::new(0) }; 3];
        let mut packer = Packer::new(&words);
        packer.put_text("0123456789abcdef!", 16);
        assert_eq!(packer.len(), 3);
        assert!(!packer.put([1]) && packer.is_full() && packer.len() == 3);
        assert_eq!(
            Unpacker::new(&words.map(AtomicU64::into_inner))
                .take_text()
                .as_deref(),
            Some("0123456789abcdef")
        );
        let words = [const { AtomicU64::new(0) }; 3];
        let mut packer = Packer::new(&words);
        packer.put([1]);
        packer.put_text("0123456789abcdef!", 100);
        // Nor what would have a place: it would be read as what is left out.
        packer.put([2]);
        assert!(packer.is_full() && packer.len() == 1);
    }

    #[test]
    fn addresses_come_back() {
        for address in [
            None,
            Some("10.1.2.3:80"),
            Some("[2001:db8::1]:65535"),
            Some("[::]:0"),
        ] {
            let address: Option<SocketAddr> = address.map(|text| text.parse().unwrap());
            let words = [const { AtomicU64::new(0) }; 3];
            Packer::new(&words).put_address(address);
            let words = words.map(AtomicU64::into_inner);
            assert_eq!(Unpacker::new(&words).take_address(), Some(address));
        }
    }
}
