//! Classes of bytes, 16 at a time: a mask with one bit per byte, the first byte's lowest.
//!
//! On x86-64 by SSE2, which every such processor has; elsewhere byte by byte. It knows no HTTP beyond what the
//! classes say.

/// Bytes in a block, and bits in a mask.
pub(crate) const BLOCK: usize = 16;

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
use portable as chosen;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use sse2 as chosen;

/// The bytes that equal `byte`.
#[inline(always)]
pub(crate) fn equal(block: &[u8; BLOCK], byte: u8) -> u32 {
    chosen::equal(block, byte)
}

/// The control bytes: below 0x20, and 0x7f.
#[inline(always)]
pub(crate) fn controls(block: &[u8; BLOCK]) -> u32 {
    chosen::controls(block)
}

/// What may not stand in a request target: all but printable ASCII, and of that space and `#`.
#[inline(always)]
pub(crate) fn outside_target(block: &[u8; BLOCK]) -> u32 {
    chosen::outside_target(block)
}

/// The index of the first byte at or after `from` that `class` holds, or else the length of `bytes`.
#[inline(always)]
pub(crate) fn first_of(bytes: &[u8], from: usize, class: impl Fn(&[u8; BLOCK]) -> u32) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    bytes.len() - rest.len() + first_in_end(bytes, rest, class)
}

/// The index in `end` of the first byte that `class` holds, or else the length of `end`, which is the end of `bytes`.
#[inline(always)]
pub(crate) fn first_in_end(bytes: &[u8], end: &[u8], class: impl Fn(&[u8; BLOCK]) -> u32) -> usize {
    let mut rest = end;
    while let Some((block, after)) = rest.split_first_chunk() {
        let found = class(block);
        if found != 0 {
            return end.len() - rest.len() + found.trailing_zeros() as usize;
        }
        rest = after;
    }
    // Less than a block is left: it is the end of the last block of all.
    let left = rest.len();
    let found = match bytes.last_chunk() {
        Some(block) => class(block).wrapping_shr((BLOCK - left) as u32),
        None => class(&padded(rest)),
    };
    // The bit after the last byte's ends the search.
    let found = found | 1u32.wrapping_shl(left as u32);
    end.len() - left + found.trailing_zeros() as usize
}

/// The longest run from `from` on of bytes that may stand in a request target.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn target_at(bytes: &[u8], from: usize) -> Option<&str> {
    let target = bytes.get(from..first_of(bytes, from, outside_target))?;
    // SAFETY: `outside_target` holds all bytes from 0x80 on, and `first_of` gives the first of the bytes that it holds,
    // so that there is only ASCII before, which is UTF-8. Tests check both for every byte at every place.
    Some(unsafe { std::str::from_utf8_unchecked(target) })
}

/// Bytes, fewer than a block's, with NULs after them.
#[cold]
pub(crate) fn padded<const LENGTH: usize>(bytes: &[u8]) -> [u8; LENGTH] {
    let mut block = [0; LENGTH];
    block[..bytes.len()].copy_from_slice(bytes);
    block
}

/// Its `unsafe` is all of one kind: calls of functions that need SSE2. Sound, because this is compiled only where `target_feature = "sse2"` holds, so that the whole program may use it
/// anyway, and because the intrinsics take and give values: no pointer is made, and a block is read as the array it
/// is. What they compute is checked against the portable form, for every byte at every place.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[allow(unsafe_code)]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8,
    };

    use super::BLOCK;

    #[inline(always)]
    pub(super) fn equal(block: &[u8; BLOCK], byte: u8) -> u32 {
        // SAFETY: there is SSE2; see the module.
        unsafe { equal_mask(load(block), byte) }
    }

    #[inline(always)]
    pub(super) fn controls(block: &[u8; BLOCK]) -> u32 {
        // SAFETY: there is SSE2; see the module.
        unsafe { control_mask(load(block)) }
    }

    #[inline(always)]
    pub(super) fn outside_target(block: &[u8; BLOCK]) -> u32 {
        // SAFETY: there is SSE2; see the module.
        unsafe { outside_target_mask(load(block)) }
    }

    /// Compiled to one unaligned load.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(block: &[u8; BLOCK]) -> __m128i {
        let value = u128::from_le_bytes(*block);
        _mm_set_epi64x((value >> 64) as i64, value as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal_mask(bytes: __m128i, byte: u8) -> u32 {
        _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8))) as u32
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn control_mask(bytes: __m128i) -> u32 {
        let low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        _mm_movemask_epi8(_mm_or_si128(low, delete)) as u32
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn outside_target_mask(bytes: __m128i) -> u32 {
        // The comparison is signed: bytes from 0x80 on are below zero.
        let low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x21));
        let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        let fragment = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'#' as i8));
        _mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(delete, fragment))) as u32
    }
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod portable {
    use super::BLOCK;

    #[inline(always)]
    fn mask(block: &[u8; BLOCK], class: impl Fn(u8) -> bool) -> u32 {
        let bits = block.iter().enumerate();
        bits.fold(0, |mask, (at, &byte)| mask | (class(byte) as u32) << at)
    }

    #[inline(always)]
    pub(super) fn equal(block: &[u8; BLOCK], byte: u8) -> u32 {
        mask(block, |b| b == byte)
    }

    #[inline(always)]
    pub(super) fn controls(block: &[u8; BLOCK]) -> u32 {
        mask(block, |b| b.is_ascii_control())
    }

    #[inline(always)]
    pub(super) fn outside_target(block: &[u8; BLOCK]) -> u32 {
        mask(block, |b| !b.is_ascii_graphic() || b == b'#')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_classified_at_every_place() {
        for at in 0..BLOCK {
            for byte in 0..=255u8 {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                let bit = |is_in: bool| (is_in as u32) << at;
                assert_eq!(controls(&block), bit(byte < 0x20 || byte == 0x7f), "{byte:#x}");
                let is_in_target = (0x21..0x7f).contains(&byte) && byte != b'#';
                assert_eq!(outside_target(&block), bit(!is_in_target), "{byte:#x}");
                block.fill(byte.wrapping_add(1));
                block[at] = byte;
                assert_eq!(equal(&block, byte), 1 << at);
            }
        }
    }

    proptest! {
        #[test]
        fn both_ways_give_the_same_masks(block: [u8; BLOCK], byte: u8) {
            prop_assert_eq!(equal(&block, byte), portable::equal(&block, byte));
            prop_assert_eq!(equal(&block, block[3]), portable::equal(&block, block[3]));
            prop_assert_eq!(controls(&block), portable::controls(&block));
            prop_assert_eq!(outside_target(&block), portable::outside_target(&block));
        }

        #[test]
        fn the_first_of_a_class_is_found(
            bytes in prop::collection::vec(prop::sample::select(&b"aaaaaaa:\0\n\x7f\xff"[..]), 0..50),
            from in 0usize..50,
        ) {
            let from = from.min(bytes.len());
            let expected = |is_in: fn(&u8) -> bool| {
                bytes[from..].iter().position(is_in).map_or(bytes.len(), |at| from + at)
            };
            prop_assert_eq!(first_of(&bytes, from, controls), expected(|b| b.is_ascii_control()));
            prop_assert_eq!(first_of(&bytes, from, |block| equal(block, b':')), expected(|b| *b == b':'));
        }
    }
}
