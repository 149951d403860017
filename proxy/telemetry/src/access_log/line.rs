//! A line as it grows, in fixed blocks: a copy whose length the compiler knows is a move or two, any other is a call.
//!
//! The buffer is first made as long as the line will probably be; blocks are then stored at the end of what is
//! written, what stands behind that is overwritten by the next, and the rest is cut off when the line is finished.
//! How values are escaped is said in `escape`; this only sees which need not be.

use super::escape::{Dirt, OCTETS, decimal_quad, dirt_of_word};
use super::timestamp::timestamp;
use crate::flags::ResponseFlags;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

/// What a line's buffer grows by beyond what is needed at once.
const GROWTH_BYTES: usize = 512;
const LITERAL_BLOCK: usize = 32;

/// Bytes that are copied as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Literal {
    blocks: Box<[[u8; LITERAL_BLOCK]]>,
    /// How much of the last block does not count.
    surplus_bytes: usize,
}

impl Literal {
    pub(super) fn new(text: &[u8]) -> Literal {
        let blocks: Box<[_]> = text
            .chunks(LITERAL_BLOCK)
            .map(|chunk| {
                let mut block = [0; LITERAL_BLOCK];
                block[..chunk.len()].copy_from_slice(chunk);
                block
            })
            .collect();
        let surplus_bytes = blocks.len() * LITERAL_BLOCK - text.len();
        Literal {
            blocks,
            surplus_bytes,
        }
    }

    /// The room that it needs, its surplus included.
    pub(super) fn room_bytes(&self) -> usize {
        self.blocks.len() * LITERAL_BLOCK
    }
}

/// The end of a buffer that is being written.
pub(super) struct Line<'o> {
    out: &'o mut Vec<u8>,
    /// Where the line ends so far; never behind the end of `out`.
    end: usize,
}

impl<'o> Line<'o> {
    /// A line behind what `out` holds, probably not longer than `bytes_expected`.
    pub(super) fn begin(out: &'o mut Vec<u8>, bytes_expected: usize) -> Line<'o> {
        let end = out.len();
        out.resize(end + bytes_expected, 0);
        Line { out, end }
    }

    /// Leaves the line in the buffer, and nothing behind it.
    pub(super) fn finish(self) {
        self.out.truncate(self.end);
    }

    /// Writes by another's hand, at the true end of the buffer.
    #[cold]
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.truncate(self.end);
        write(self.out);
        self.end = self.out.len();
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, bytes: usize) {
        self.out.resize(self.end + bytes + GROWTH_BYTES, 0);
    }

    /// What follows the end, `bytes` of it at least.
    #[inline(always)]
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.out.len() - self.end < bytes {
            self.grow(bytes);
        }
        &mut self.out[self.end..]
    }

    /// Stores a block of which the first `used` bytes count.
    #[inline(always)]
    fn push_block<const N: usize>(&mut self, block: [u8; N], used: usize) {
        debug_assert!(used <= N);
        if let Some(target) = self.room(N).first_chunk_mut() {
            *target = block;
        }
        self.end += used;
    }

    #[inline(always)]
    pub(super) fn push_literal(&mut self, literal: &Literal) {
        for block in &literal.blocks {
            self.push_block(*block, LITERAL_BLOCK);
        }
        self.end -= literal.surplus_bytes;
    }

    #[inline(always)]
    pub(super) fn push_byte(&mut self, byte: u8) {
        self.push_block([byte], 1);
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) {
        self.push_block(*b"null", 4);
    }

    /// `null` in place of the quote that stands last.
    #[inline(always)]
    pub(super) fn push_null_for_quote(&mut self) {
        self.end -= 1;
        self.push_null();
    }

    /// Appends `value` if nothing in it needs an escape; else false, and the line is as it was. Bytes are copied and
    /// looked at together; those where two blocks overlap twice, which is cheaper than one by one.
    #[inline]
    pub(super) fn push_clean(&mut self, value: &[u8]) -> bool {
        let length = value.len();
        let room = &mut self.room(length)[..length];
        let is_clean = if let Some(last) = value.last_chunk() {
            let mut dirt = Dirt::default();
            for (target, block) in room.as_chunks_mut().0.iter_mut().zip(value.as_chunks().0) {
                *target = *block;
                dirt.look_at(block);
            }
            dirt.look_at(last);
            if let Some(target) = room.last_chunk_mut() {
                *target = *last;
            }
            dirt.is_none()
        } else {
            copy_short(value, room)
        };
        if is_clean {
            self.end += length;
        }
        is_clean
    }

    /// Appends `number` in decimal.
    #[inline]
    pub(super) fn push_number(&mut self, number: u64) {
        match number {
            0..10 => self.push_byte(b'0' + number as u8),
            10..10_000 => {
                let number = number as u32;
                let digits = 2 + usize::from(number >= 100) + usize::from(number >= 1_000);
                let quad = u32::from_le_bytes(decimal_quad(number)) >> (8 * (4 - digits));
                self.push_block(quad.to_le_bytes(), digits);
            }
            _ => self.push_long_number(number),
        }
    }

    #[inline(never)]
    fn push_long_number(&mut self, number: u64) {
        self.push_number(number / 10_000);
        self.push_block(decimal_quad((number % 10_000) as u32), 4);
    }

    /// Appends `time` as ISO 8601.
    #[inline]
    pub(super) fn push_time(&mut self, time: SystemTime) {
        self.push_block(timestamp(time), 24);
    }

    /// Appends the names of `flags` with commas, or `-`.
    #[inline]
    pub(super) fn push_flags(&mut self, flags: ResponseFlags) {
        if flags.is_empty() {
            return self.push_byte(b'-');
        }
        for (place, name) in flags.names().enumerate() {
            if place > 0 {
                self.push_byte(b',');
            }
            self.push_clean(name.as_bytes());
        }
    }

    /// Appends `address:port`.
    #[inline]
    pub(super) fn push_address(&mut self, address: &SocketAddr) {
        match address {
            SocketAddr::V4(v4) => {
                self.push_v4(*v4.ip());
                self.push_byte(b':');
                self.push_number(v4.port().into());
            }
            SocketAddr::V6(v6) => {
                self.append(|out| write!(out, "{v6}").expect("a Vec takes what is written"))
            }
        }
    }

    /// Appends an address without a port.
    pub(super) fn push_ip(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.push_v4(v4),
            IpAddr::V6(v6) => self.append(|out| write!(out, "{v6}").expect("a Vec takes what is written")),
        }
    }

    #[inline]
    fn push_v4(&mut self, address: Ipv4Addr) {
        for octet in address.octets() {
            let digits = 1 + usize::from(octet >= 10) + usize::from(octet >= 100);
            self.push_block(OCTETS[usize::from(octet)], digits + 1);
        }
        // The last octet's dot.
        self.end -= 1;
    }
}

/// Copies fewer than 16 bytes to as many; whether nothing in them needs an escape.
#[inline(always)]
fn copy_short(value: &[u8], target: &mut [u8]) -> bool {
    let dirt = if let (Some(first), Some(last)) = (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        target[..8].copy_from_slice(first);
        target[value.len() - 8..].copy_from_slice(last);
        dirt_of_word(*first) | dirt_of_word(*last)
    } else if let (Some(first), Some(last)) = (value.first_chunk::<4>(), value.last_chunk::<4>()) {
        target[..4].copy_from_slice(first);
        target[value.len() - 4..].copy_from_slice(last);
        let ([a, b, c, d], [e, f, g, h]) = (*first, *last);
        dirt_of_word([a, b, c, d, e, f, g, h])
    } else {
        let mut word = [b' '; 8];
        for ((target, place), byte) in target.iter_mut().zip(&mut word).zip(value) {
            (*target, *place) = (*byte, *byte);
        }
        dirt_of_word(word)
    };
    dirt == 0
}

#[cfg(test)]
mod tests;
