//! Response flags: why a response is not simply what the upstream said.
//!
//! The short names are Envoy's, so that queries and habits carry over. Only flags that this proxy can produce exist.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of response flags; it displays as Envoy's short names joined by commas, or `-` when it is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(u32);

/// Declares the flags: each a bit, in the order in which they are displayed, with Envoy's long name and what it means.
macro_rules! flags {
    ($($name:ident = $bit:literal, $long:literal, $about:literal;)*) => {
        impl ResponseFlags {
            $(#[doc = $about] pub const $name: ResponseFlags = ResponseFlags(1 << $bit);)*

            /// The short names; a flag's bit is its name's index.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];
            /// The long names, in the same order.
            pub const LONG_NAMES: &'static [&'static str] = &[$($long),*];
            /// What the flags mean, in the same order.
            pub(crate) const MEANINGS: &'static [&'static str] = &[$($about),*];
            /// How many flags there are.
            pub const COUNT: usize = Self::NAMES.len();
        }
    };
}

flags! {
    UH = 0, "NoHealthyUpstream", "No healthy upstream: the cluster has no endpoint to offer (503).";
    UF = 1, "UpstreamConnectionFailure", "Upstream connection failure: no connection to the endpoint (503).";
    UO = 2, "UpstreamOverflow", "Upstream overflow: a circuit breaker or the retry budget said no (503, or what was at hand is passed on).";
    NR = 3, "NoRouteFound", "No route configured (404).";
    URX = 4, "UpstreamRetryLimitExceeded", "Upstream retry limit exceeded: attempts are used up, the last one failed, or its answer would have been repeated.";
    DC = 5, "DownstreamConnectionTermination", "Downstream connection termination: the client went away.";
    UC = 6, "UpstreamConnectionTermination", "Upstream connection termination: it ended before its answer was whole (503).";
    UT = 7, "UpstreamRequestTimeout", "Upstream request timeout: the route's timeout, or the client's deadline (504).";
    UR = 8, "UpstreamRemoteReset", "Upstream remote reset: the upstream reset the stream (503).";
    DPE = 9, "DownstreamProtocolError", "Downstream protocol error: the request could not be accepted.";
    UPE = 10, "UpstreamProtocolError", "Upstream protocol error: the answer could not be accepted (502).";
    SI = 11, "StreamIdleTimeout", "Stream idle timeout: nothing moved on the stream or TCP connection.";
    DT = 12, "DurationTimeout", "Duration timeout: a TCP connection or a stream reached its greatest age.";
    UAEX = 13, "UnauthorizedExternalService", "Unauthorized by an external service, or because it could not be asked.";
    DI = 14, "DelayInjected", "Delay injected: the request was held, on purpose.";
    FI = 15, "FaultInjected", "Fault injected: the request was broken, on purpose.";
    OM = 16, "OverloadManagerTerminated", "Overload manager: the process is near a limit (503).";
    RL = 17, "RateLimited", "Rate limited (429).";
    RLSE = 18, "RateLimitServiceError", "Rate limit service error: a rate limit service could not tell (500).";
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

    /// The flag with this short name, upper case.
    pub fn from_name(name: &str) -> Option<ResponseFlags> {
        let index = ResponseFlags::NAMES.iter().position(|known| *known == name)?;
        Some(ResponseFlags(1 << index))
    }

    /// Whether some of `other`'s flags are set.
    #[inline]
    pub const fn intersects(self, other: ResponseFlags) -> bool {
        self.0 & other.0 != 0
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

    /// The long names of the flags that are set.
    pub fn long_names(self) -> impl Iterator<Item = &'static str> {
        self.indexes().map(|index| ResponseFlags::LONG_NAMES[index])
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
            assert_eq!(ResponseFlags::from_name(name), Some(ResponseFlags(1 << index)));
        }
        assert_eq!(ResponseFlags::from_name("uh"), None);
        assert_eq!(
            (ResponseFlags::RL | ResponseFlags::UH)
                .long_names()
                .collect::<Vec<_>>(),
            ["NoHealthyUpstream", "RateLimited"]
        );
        assert!((ResponseFlags::RL | ResponseFlags::UH).intersects(ResponseFlags::UH | ResponseFlags::NR));
        assert!(!ResponseFlags::RL.intersects(ResponseFlags::UH | ResponseFlags::NR));
    }
}
