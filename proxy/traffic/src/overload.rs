//! Overload: how much of what the process may have is in use, and what is done near the limit.
//!
//! Pressures come in, actions go out; nothing here measures, waits or refuses anything. The highest pressure counts. It
//! rises at once and falls late ([`HOLD_DIVISOR`]), so that a use that wavers about a threshold does not switch an
//! action on and off. Refusals begin with a few requests and grow to all of them, as Envoy's scaled triggers do.

use outrigger_config::model::Overload;

/// What there is little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Downstream connections.
    Connections,
    /// Requests in flight.
    Requests,
    /// Bytes of bodies that are kept.
    BufferedBytes,
    /// Memory of the process, or of its control group.
    Memory,
}

impl Resource {
    /// All of them; a resource's place is its number.
    pub const ALL: [Resource; 4] = [
        Resource::Connections,
        Resource::Requests,
        Resource::BufferedBytes,
        Resource::Memory,
    ];

    /// As metrics and `/server_info` name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::Connections => "connections",
            Resource::Requests => "requests",
            Resource::BufferedBytes => "buffered_bytes",
            Resource::Memory => "memory",
        }
    }

    /// It is measured in bytes; the others are counted.
    pub fn is_in_bytes(self) -> bool {
        matches!(self, Resource::BufferedBytes | Resource::Memory)
    }
}

/// Use in proportion to a limit, in ten-thousandths: 10,000 is all of it, and more is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Pressure(u32);

/// Ten-thousandths in a percent.
const PER_PERCENT: u32 = 100;

impl Pressure {
    /// None at all.
    pub const NONE: Pressure = Pressure(0);

    /// `used` of `limit`; a limit of 0 is used up.
    pub fn of(used: u64, limit: u64) -> Pressure {
        let share = u128::from(used) * 10_000 / u128::from(limit.max(1));
        let share = if limit == 0 { share.max(10_000) } else { share };
        Pressure(u32::try_from(share).unwrap_or(u32::MAX))
    }

    /// Of a hundred, rounded down.
    pub fn percent(self) -> u32 {
        self.0 / PER_PERCENT
    }
}

/// A resource and how much of it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What.
    pub resource: Resource,
    /// In the resource's unit.
    pub used: u64,
    /// The same; none: there is no limit, and so no pressure.
    pub limit: Option<u64>,
}

impl Usage {
    /// Its pressure, where there is a limit.
    pub fn pressure(&self) -> Option<Pressure> {
        Some(Pressure::of(self.used, self.limit?))
    }
}

/// A share of requests: parts of 65,536.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share(u32);

impl Share {
    /// Nothing.
    pub const NONE: Share = Share(0);
    /// Everything.
    pub const ALL: Share = Share(1 << 16);
    /// What refusals begin with: enough that they are noticed, and that they help.
    const FIRST: Share = Share((1 << 16) / 20);

    /// True if this one, of a random number, is part of the share.
    pub fn takes(self, random: u64) -> bool {
        // The low bits of a random number may be less so.
        ((random >> 40) as u32 & 0xffff) < self.0
    }

    /// Of a hundred, rounded up: 0 for nothing only.
    pub fn percent(self) -> u32 {
        (self.0 * 100).div_ceil(Share::ALL.0)
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions {
    /// Connections are ended by and by, each when nothing is in flight on it.
    pub stop_keepalive: bool,
    /// This share of new requests is refused.
    pub refuse_requests: Share,
    /// New connections are refused.
    pub refuse_connections: bool,
    /// What is under the pressure by which something is done; none: nothing is.
    pub by: Option<Resource>,
}

impl Actions {
    /// Whether anything is done.
    pub fn any(self) -> bool {
        self != Actions::default()
    }
}

/// A pressure counts as unchanged until it has fallen by one part in so many: 90 % holds until below 87.3 %. In
/// proportion, so that no pressure is ever held up by a threshold near zero.
pub const HOLD_DIVISOR: u32 = 33;

/// The pressure that counts, from one look to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    pressure: Pressure,
    /// What is under it.
    by: Option<Resource>,
}

impl Held {
    /// Takes note of the pressures of now. A limit that was taken away takes its pressure with it at once only as far as
    /// any falling pressure does: call with [`Held::default`] after a change of limits.
    pub fn note(self, usages: &[Usage]) -> Held {
        let pressures = usages
            .iter()
            .filter_map(|usage| Some((usage.pressure()?, usage.resource)));
        let worst = pressures.max_by_key(|(pressure, _)| *pressure);
        let (now, by) = worst.map_or_else(Default::default, |(now, by)| (now, Some(by)));
        let Pressure(held) = self.pressure;
        let margin = held / HOLD_DIVISOR;
        if now.0 >= held {
            Held { pressure: now, by }
        } else if now.0 < held - margin {
            // It trails the real one by the margin, so that each threshold is left below where it was met.
            let trailing = Pressure(now.0.saturating_add(now.0 / HOLD_DIVISOR));
            Held {
                pressure: trailing.min(self.pressure),
                by,
            }
        } else {
            self
        }
    }

    /// The pressure itself.
    pub fn pressure(self) -> Pressure {
        self.pressure
    }

    /// What is done at this pressure.
    pub fn actions(self, limits: &Overload) -> Actions {
        let Pressure(held) = self.pressure;
        let reached = |percent: u32| held >= percent.saturating_mul(PER_PERCENT);
        let actions = Actions {
            stop_keepalive: reached(limits.stop_keepalive()),
            refuse_requests: refused_share(held, limits),
            refuse_connections: reached(limits.refuse_connections()),
            by: None,
        };
        Actions {
            by: self.by.filter(|_| actions.any()),
            ..actions
        }
    }
}

/// From [`Share::FIRST`] at `refuse_requests` evenly to all at `refuse_all`.
fn refused_share(held: u32, limits: &Overload) -> Share {
    let from = limits.refuse_requests().saturating_mul(PER_PERCENT);
    let all = limits.refuse_all().saturating_mul(PER_PERCENT);
    if held >= all {
        return Share::ALL;
    }
    if held < from {
        return Share::NONE;
    }
    let part = u64::from(held - from) * u64::from(Share::ALL.0) / u64::from(all - from);
    Share(part as u32).max(Share::FIRST)
}

#[cfg(test)]
mod tests;
