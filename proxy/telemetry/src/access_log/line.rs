//! A line as it grows, in fixed blocks: a copy whose length the compiler knows is a move or two, any other is a call.
//!
//! What is left of the buffer is a slice that shrinks from its front; a block is stored there whole, and what of it
//! does not count is overwritten by the next. What does not fit, or has to be escaped, gives `None`: the caller then
//! takes its slow way, and what was stored of the field counts for nothing. How values are escaped is said in
//! `escape`; this only sees which need not be.

use super::escape::{Dirt, OCTETS, decimal_quad, dirt_of_word};
use super::timestamp::timestamp;
use crate::flags::ResponseFlags;
use std::fmt;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

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

    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        let blocks = self.blocks.as_flattened();
        &blocks[..blocks.len() - self.surplus_bytes]
    }

    /// The room that it needs, its surplus included.
    pub(super) fn room_bytes(&self) -> usize {
        self.blocks.len() * LITERAL_BLOCK
    }
}

/// What is left of a buffer behind what is written.
pub(super) struct Line<'r> {
    rest: &'r mut [u8],
}

impl<'r> Line<'r> {
    /// A line that will be written to `rest`.
    #[inline(always)]
    pub(super) fn new(rest: &'r mut [u8]) -> Line<'r> {
        Line { rest }
    }

    /// How many bytes are left.
    #[inline(always)]
    pub(super) fn bytes_left(&self) -> usize {
        self.rest.len()
    }

    #[inline(always)]
    fn advance(&mut self, bytes: usize) -> Option<()> {
        self.rest = std::mem::take(&mut self.rest).get_mut(bytes..)?;
        Some(())
    }

    /// Stores a block of which the first `used` bytes count.
    #[inline(always)]
    fn push_block<const N: usize>(&mut self, block: [u8; N], used: usize) -> Option<()> {
        debug_assert!(used <= N);
        *self.rest.first_chunk_mut()? = block;
        self.advance(used)
    }

    /// Appends `literal` but for its last `omitted` bytes, which are one at most.
    #[inline(always)]
    pub(super) fn push_literal(&mut self, literal: &Literal, omitted: usize) -> Option<()> {
        let Some((last, blocks)) = literal.blocks.split_last() else {
            return Some(());
        };
        for block in blocks {
            self.push_block(*block, LITERAL_BLOCK)?;
        }
        self.push_block(*last, LITERAL_BLOCK.wrapping_sub(literal.surplus_bytes + omitted))
    }

    #[inline(always)]
    pub(super) fn push_byte(&mut self, byte: u8) -> Option<()> {
        self.push_block([byte], 1)
    }

    #[inline(always)]
    pub(super) fn push_null(&mut self) -> Option<()> {
        self.push_block(*b"null", 4)
    }

    /// Appends `value` if nothing in it needs an escape.
    #[inline(always)]
    pub(super) fn push_clean(&mut self, value: &[u8]) -> Option<()> {
        if copy_clean(value, self.rest) {
            self.advance(value.len())
        } else {
            None
        }
    }

    /// Appends what a function of its own writes to the front of a slice and returns the length of. No function that
    /// is called may take `self`: the slice would live in memory.
    #[inline(always)]
    fn push_with(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<()> {
        let bytes = write(self.rest)?;
        self.advance(bytes)
    }

    /// Appends `number` in decimal.
    #[inline(always)]
    pub(super) fn push_number(&mut self, number: u64) -> Option<()> {
        match number {
            0..10 => self.push_byte(b'0' + number as u8),
            10..10_000 => self.push_number_below_10_000(number as u32),
            _ => self.push_with(|rest| write_long_number(number, rest)),
        }
    }

    #[inline(always)]
    fn push_number_below_10_000(&mut self, number: u32) -> Option<()> {
        let more = usize::from(number >= 10) + usize::from(number >= 100) + usize::from(number >= 1_000);
        let quad = u32::from_le_bytes(decimal_quad(number)) >> (8 * (3 - more));
        self.push_block(quad.to_le_bytes(), 1 + more)
    }

    /// Appends `time` as ISO 8601.
    #[inline(always)]
    pub(super) fn push_time(&mut self, time: SystemTime) -> Option<()> {
        self.push_block(timestamp(time), 24)
    }

    /// Appends the names of `flags` with commas, or `-`.
    #[inline(always)]
    pub(super) fn push_flags(&mut self, flags: ResponseFlags) -> Option<()> {
        if flags.is_empty() {
            return self.push_byte(b'-');
        }
        self.push_with(|rest| write_flag_names(flags, rest))
    }

    /// Appends `address:port`.
    #[inline(always)]
    pub(super) fn push_address(&mut self, address: &SocketAddr) -> Option<()> {
        match address {
            SocketAddr::V4(v4) => {
                self.push_v4(*v4.ip(), b':')?;
                self.push_number(v4.port().into())
            }
            SocketAddr::V6(v6) => self.push_with(|rest| write_displayed(v6, rest)),
        }
    }

    /// Appends an address without a port.
    #[inline(always)]
    pub(super) fn push_ip(&mut self, address: IpAddr) -> Option<()> {
        self.push_with(|rest| write_displayed(&address, rest))
    }

    /// Appends an address and one byte behind it.
    #[inline(always)]
    fn push_v4(&mut self, address: Ipv4Addr, after: u8) -> Option<()> {
        let octets = address.octets().map(|octet| OCTETS[usize::from(octet)]);
        // Each octet has its dot, so that two of them fit into eight bytes.
        let pair = |(first, first_bytes): (u32, u32), (second, second_bytes): (u32, u32)| {
            let text = u64::from(first) | (u64::from(second) << (8 * first_bytes));
            (text, first_bytes + second_bytes)
        };
        let (text, bytes) = pair(octets[0], octets[1]);
        self.push_block(text.to_le_bytes(), bytes as usize)?;
        let (text, bytes) = pair(octets[2], octets[3]);
        let last_dot = 8 * (bytes - 1);
        let text = text ^ (u64::from(b'.' ^ after) << last_dot);
        self.push_block(text.to_le_bytes(), bytes as usize)
    }
}

#[inline(never)]
fn write_long_number(number: u64, rest: &mut [u8]) -> Option<usize> {
    let mut text = [0; 20];
    let (mut start, mut left) = (text.len(), number);
    while left >= 10_000 {
        start -= 4;
        text[start..start + 4].copy_from_slice(&decimal_quad((left % 10_000) as u32));
        left /= 10_000;
    }
    let before = rest.len();
    let mut line = Line::new(rest);
    line.push_number_below_10_000(left as u32)?;
    for quad in text[start..].as_chunks::<4>().0 {
        line.push_block(*quad, 4)?;
    }
    Some(before - line.bytes_left())
}

#[inline(never)]
fn write_flag_names(flags: ResponseFlags, rest: &mut [u8]) -> Option<usize> {
    let before = rest.len();
    let mut line = Line::new(rest);
    for (place, name) in flags.names().enumerate() {
        if place > 0 {
            line.push_byte(b',')?;
        }
        line.push_clean(name.as_bytes())?;
    }
    Some(before - line.bytes_left())
}

/// For addresses that have no hand-made way.
#[cold]
fn write_displayed(address: &dyn fmt::Display, mut rest: &mut [u8]) -> Option<usize> {
    let before = rest.len();
    write!(rest, "{address}").ok()?;
    Some(before - rest.len())
}

/// Copies `value` to the front of `rest` if it fits; whether it did and nothing in it needs an escape. Bytes are copied
/// and looked at together; those where two blocks overlap twice, which is cheaper than one by one.
#[inline(never)]
fn copy_clean(value: &[u8], rest: &mut [u8]) -> bool {
    let Some(target) = rest.get_mut(..value.len()) else {
        return false;
    };
    let (Some(last), Some(last_target)) = (value.last_chunk(), target.last_chunk_mut::<16>()) else {
        return copy_short(value, target);
    };
    let mut dirt = Dirt::default();
    dirt.look_at(last);
    *last_target = *last;
    for (target, block) in target.as_chunks_mut().0.iter_mut().zip(value.as_chunks().0) {
        *target = *block;
        dirt.look_at(block);
    }
    dirt.is_none()
}

/// Copies fewer than 16 bytes to as many; whether nothing in them needs an escape.
#[inline(always)]
fn copy_short(value: &[u8], target: &mut [u8]) -> bool {
    let dirt = if let (Some(first), Some(last)) = (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        *target.first_chunk_mut().unwrap_or(&mut [0; 8]) = *first;
        *target.last_chunk_mut().unwrap_or(&mut [0; 8]) = *last;
        dirt_of_word(*first) | dirt_of_word(*last)
    } else if let (Some(first), Some(last)) = (value.first_chunk::<4>(), value.last_chunk::<4>()) {
        *target.first_chunk_mut().unwrap_or(&mut [0; 4]) = *first;
        *target.last_chunk_mut().unwrap_or(&mut [0; 4]) = *last;
        let ([a, b, c, d], [e, f, g, h]) = (*first, *last);
        dirt_of_word([a, b, c, d, e, f, g, h])
    } else {
        let ([a, .., c], [to_a, .., to_c]) = (value, &mut *target) else {
            let (Some(byte), Some(to)) = (value.first(), target.first_mut()) else {
                return true;
            };
            *to = *byte;
            return dirt_of_word([*byte; 8]) == 0;
        };
        (*to_a, *to_c) = (*a, *c);
        let middle = value.len() / 2;
        target[middle] = value[middle];
        dirt_of_word([*a, value[middle], *c, b' ', b' ', b' ', b' ', b' '])
    };
    dirt == 0
}

#[cfg(test)]
mod tests;
