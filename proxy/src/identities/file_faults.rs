//! Which files are at fault. What changes is often wrong for a moment: a certificate is written before its key, a file in
//! pieces. So a fault counts once it has stayed for [`FAULT_SETTLE`].

use outrigger_identity::MaterialPart;
use outrigger_telemetry::SourceFailure;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

/// A certificate and its key, which are two files, change one after the other within this time.
pub(crate) const FAULT_SETTLE: Duration = Duration::from_secs(1);

/// The files that are at fault now.
#[derive(Debug, Default)]
pub(crate) struct FileFaults {
    seen: HashMap<MaterialPart, FileFault>,
}

/// A part whose file cannot be used.
#[derive(Debug, Clone)]
pub(crate) struct FileFault {
    /// What kind of fault it is.
    pub(crate) reason: SourceFailure,
    /// What is wrong.
    pub(crate) text: String,
    /// Since when it has been so.
    pub(crate) at: SystemTime,
    first_seen: Instant,
    is_told: bool,
}

/// What there is to tell of a part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is at fault, and has been for long enough.
    Fault(MaterialPart, SourceFailure, String),
    /// Its fault, which was told, is mended.
    Mended(MaterialPart),
}

impl FileFaults {
    /// Takes what is at fault at this moment: everything else is in order.
    pub(crate) fn note(
        &mut self,
        faults: impl IntoIterator<Item = (MaterialPart, SourceFailure, String)>,
        now: Instant,
        wall: SystemTime,
    ) -> Vec<Told> {
        let mut before = std::mem::take(&mut self.seen);
        let mut told = Vec::new();
        for (part, reason, text) in faults {
            // Another fault of the same part is the same trouble, told anew.
            let earlier = before.remove(&part);
            let mut fault = match earlier {
                Some(earlier) if earlier.text == text => earlier,
                earlier => FileFault {
                    reason,
                    text,
                    at: wall,
                    first_seen: earlier.map_or(now, |earlier| earlier.first_seen),
                    is_told: false,
                },
            };
            let is_settled = now.saturating_duration_since(fault.first_seen) >= FAULT_SETTLE;
            if is_settled && !fault.is_told {
                fault.is_told = true;
                told.push(Told::Fault(part.clone(), reason, fault.text.clone()));
            }
            self.seen.insert(part, fault);
        }
        let mended = before.into_iter().filter(|(_, fault)| fault.is_told);
        told.extend(mended.map(|(part, _)| Told::Mended(part)));
        told
    }

    /// When what is not settled yet is to be looked at again; none if there is no such thing.
    pub(crate) fn settles_in(&self, now: Instant) -> Option<Duration> {
        let unsettled = self.seen.values().filter(|fault| !fault.is_told);
        let left =
            |fault: &FileFault| FAULT_SETTLE.saturating_sub(now.saturating_duration_since(fault.first_seen));
        unsettled.map(left).min()
    }

    /// The fault of a part, once it counts.
    pub(crate) fn of(&self, part: &MaterialPart) -> Option<&FileFault> {
        self.seen.get(part).filter(|fault| fault.is_told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::model::Roots;

    fn part() -> MaterialPart {
        MaterialPart::Roots(Roots::System)
    }

    fn fault(text: &str) -> Vec<(MaterialPart, SourceFailure, String)> {
        vec![(part(), SourceFailure::Contents, text.to_owned())]
    }

    #[test]
    fn a_fault_of_a_moment_is_not_told() {
        let (mut faults, start, wall) = (FileFaults::default(), Instant::now(), SystemTime::now());
        assert_eq!(faults.note(fault("mismatch"), start, wall), []);
        assert_eq!(faults.settles_in(start), Some(FAULT_SETTLE));
        assert!(faults.of(&part()).is_none());
        let soon = start + FAULT_SETTLE / 2;
        assert_eq!(faults.note([], soon, wall), []);
        assert_eq!(faults.settles_in(soon), None);
    }

    #[test]
    fn a_fault_that_stays_is_told_once_and_mended_once() {
        let (mut faults, start, wall) = (FileFaults::default(), Instant::now(), SystemTime::now());
        faults.note(fault("mismatch"), start, wall);
        let later = start + FAULT_SETTLE;
        assert_eq!(
            faults.note(fault("mismatch"), later, wall),
            [Told::Fault(
                part(),
                SourceFailure::Contents,
                "mismatch".to_owned()
            )]
        );
        assert_eq!(faults.note(fault("mismatch"), later, wall), []);
        assert_eq!(faults.of(&part()).unwrap().text, "mismatch");
        assert_eq!(faults.settles_in(later), None);
        assert_eq!(faults.note([], later, wall), [Told::Mended(part())]);
        assert_eq!(faults.note([], later, wall), []);
    }

    #[test]
    fn faults_that_follow_one_another_are_one_trouble() {
        let (mut faults, start, wall) = (FileFaults::default(), Instant::now(), SystemTime::now());
        for (step, text) in ["half", "mismatch", "half"].iter().enumerate() {
            let now = start + FAULT_SETTLE / 4 * step as u32;
            assert_eq!(faults.note(fault(text), now, wall), []);
        }
        let told = faults.note(fault("gone"), start + FAULT_SETTLE, wall);
        assert_eq!(
            told,
            [Told::Fault(part(), SourceFailure::Contents, "gone".to_owned())]
        );
        // And another one of a part that is known to be at fault is told at once.
        let told = faults.note(fault("bad"), start + FAULT_SETTLE, wall);
        assert_eq!(
            told,
            [Told::Fault(part(), SourceFailure::Contents, "bad".to_owned())]
        );
    }
}
