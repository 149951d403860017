//! How zones were looked at.

use crate::cell::labelled::Label;

labels! {
    /// What zone-aware balancing did with an attempt.
    pub enum ZoneRouting = "result" {
        /// It stayed in this proxy's zone, which takes all.
        Direct = "direct",
        /// It stayed, by the zone's share.
        Sampled = "sampled",
        /// It went to another zone, by the room there, or, where zones are strict, since nobody is healthy here.
        Cross = "cross",
        /// It went to any zone: rounding left no room.
        NoRoom = "no_room",
        /// Zones were not looked at: where others send from is not known, or not well enough.
        Unknown = "unknown",
        /// Zones were not looked at: the cluster has too few endpoints.
        Small = "small",
    }
}
