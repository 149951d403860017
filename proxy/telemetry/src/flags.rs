//! Response flags: why a response is not simply what the upstream said.
//!
//! The short names are Envoy's, so that queries and habits carry over. Only flags that this proxy can produce exist.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of response flags; it displays as Envoy's short names joined by commas, or `-` when it is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(u32);

/// Declares the flags: each a bit, in the order in which they are displayed.
macro_rules! flags {
    ($($(#[$meta:meta])* $name:ident = $bit:literal,)*) => {
        impl ResponseFlags {
            $($(#[$meta])* pub const $name: ResponseFlags = ResponseFlags(1 << $bit);)*

            /// The short names; a flag's bit is its name's index.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];
            /// How many flags there are.
            pub const COUNT: usize = Self::NAMES.len();
        }
    };
}

flags! {
    /// No healthy upstream: the cluster has no endpoint to offer (503).
    UH = 0,
    /// Upstream connection failure (503).
    UF = 1,
    /// Upstream overflow: a circuit breaker or the retry budget said no (503).
    UO = 2,
    /// No route configured (404).
    NR = 3,
    /// Upstream retry limit exceeded.
    URX = 4,
    /// Downstream connection termination: the client went away.
    DC = 5,
    /// Upstream connection termination: it closed before its answer was whole.
    UC = 6,
    /// Upstream request timeout (504).
    UT = 7,
    /// Upstream remote reset.
    UR = 8,
    /// Downstream protocol error: the request could not be accepted.
    DPE = 9,
    /// Upstream protocol error: the answer could not be accepted (502).
    UPE = 10,
    /// Stream idle timeout.
    SI = 11,
    /// Duration timeout: a TCP connection or a stream reached its greatest age.
    DT = 12,
    /// Unauthorized by an external service, or because it could not be asked.
    UAEX = 13,
    /// Delay injected: a fault was configured.
    DI = 14,
    /// Fault injected: aborted, because a fault was configured.
    FI = 15,
    /// Overload manager: the process is near a limit (503).
    OM = 16,
    /// Rate limited (429).
    RL = 17,
    /// A rate limit service could not tell (500).
    RLSE = 18,
}

impl ResponseFlags {
    /// No flag.
    pub const NONE: ResponseFlags = ResponseFlags(0);

    /// The flags as bits, each at its name's index.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The flags of these bits.
    pub(crate) const fn from_bits(bits: u32) -> ResponseFlags {
        ResponseFlags(bits)
    }

    /// Whether no flag is set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other`'s flags are set.
    #[inline]
    pub const fn contains(self, other: ResponseFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Indexes into [`ResponseFlags::NAMES`] of the flags that are set.
    pub(crate) fn indexes(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let lowest = rest.trailing_zeros() as usize;
            rest &= rest.checked_sub(1)?;
            Some(lowest)
        })
    }

    /// The short names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.indexes().map(|index| ResponseFlags::NAMES[index])
    }
}

impl BitOr for ResponseFlags {
    type Output = ResponseFlags;

    fn bitor(self, other: ResponseFlags) -> ResponseFlags {
        ResponseFlags(self.0 | other.0)
    }
}

impl BitOrAssign for ResponseFlags {
    fn bitor_assign(&mut self, other: ResponseFlags) {
        self.0 |= other.0;
    }
}

impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (place, name) in self.names().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_joins_names_and_marks_nothing_with_a_dash() {
        assert_eq!(ResponseFlags::NONE.to_string(), "-");
        assert_eq!(ResponseFlags::NR.to_string(), "NR");
        let mut flags = ResponseFlags::URX | ResponseFlags::UF;
        flags |= ResponseFlags::SI;
        assert_eq!(flags.to_string(), "UF,URX,SI");
        assert!(flags.contains(ResponseFlags::URX) && !flags.contains(ResponseFlags::UH));
    }

    #[test]
    fn every_bit_has_its_own_name() {
        for (index, name) in ResponseFlags::NAMES.iter().enumerate() {
            assert_eq!(ResponseFlags(1 << index).to_string(), *name);
        }
    }
}
