//! Truth in Kleene's three-valued logic: what follows from what is known, and only that.

use std::ops::Not;

/// Whether a condition holds. What cannot be known, or can be read in two ways, is [`Truth::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// It does not hold, whatever else may come to be known.
    False,
    /// It may hold or not.
    Unknown,
    /// It holds, whatever else may come to be known.
    True,
}

impl Truth {
    /// Both hold.
    pub(super) fn and(self, other: Truth) -> Truth {
        self.min(other)
    }

    /// At least one holds.
    pub(super) fn or(self, other: Truth) -> Truth {
        self.max(other)
    }

    /// What several readings of one thing say together: unknown if they differ.
    pub(super) fn agreed(self, other: Truth) -> Truth {
        if self == other { self } else { Truth::Unknown }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Truth {
        if holds { Truth::True } else { Truth::False }
    }
}

impl Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True => Truth::False,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{False, True, Unknown};

    #[test]
    fn what_is_unknown_decides_only_where_it_does_not_matter() {
        assert_eq!((False.and(Unknown), True.and(Unknown)), (False, Unknown));
        assert_eq!((False.or(Unknown), True.or(Unknown)), (Unknown, True));
        assert_eq!((!Unknown, !False, !True), (Unknown, True, False));
        assert_eq!(
            (True.agreed(True), False.agreed(True), Unknown.agreed(False)),
            (True, Unknown, Unknown)
        );
    }
}
