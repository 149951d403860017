//! Faults that touch nothing, or nothing any more, and such that touch everything.

use super::findings::{Findings, chains, place, routes};
use super::{Code, Place};
use crate::diagnostic::Diagnostic;
use crate::model::{Fault, Fraction, MeshConfig};
use std::time::SystemTime;

const NONE: Fraction = Fraction(0);

/// Faults of filter chains and routes.
pub(super) fn of_all(findings: &mut Findings<'_>) {
    for (_, chain) in findings.chains() {
        findings.step();
        if let Some(fault) = chain.mode.http().and_then(|http| http.fault.as_ref()) {
            one(
                findings,
                place("filter chain", &chain.name, &chain.origin, "http.fault"),
                fault,
            );
        }
    }
    for placed in findings.routes() {
        findings.step();
        if let Some(Some(fault)) = &placed.route.fault {
            one(findings, placed.place("fault"), fault);
        }
    }
}

/// A remark for each fault of filter chains and routes whose time is over as of `now`.
pub(super) fn expired(config: &MeshConfig, now: SystemTime) -> impl Iterator<Item = Diagnostic> {
    let over = timed(config).filter(move |(_, fault)| fault.expires.is_some_and(|moment| moment <= now));
    over.map(|(place, _)| {
        let message = "this fault has expired: it does nothing any more".to_owned();
        let help = "remove it, or let it expire later".to_owned();
        Diagnostic::remark(Code::FaultExpired, place, message, help)
    })
}

/// When the times of faults are over.
pub(super) fn expiries(config: &MeshConfig) -> impl Iterator<Item = SystemTime> {
    timed(config).filter_map(|(_, fault)| fault.expires)
}

/// Faults of filter chains and routes, with the places of their times.
fn timed(config: &MeshConfig) -> impl Iterator<Item = (Place<'_>, &Fault)> {
    let of_chains = chains(config).filter_map(|(_, chain)| {
        let fault = chain.mode.http()?.fault.as_ref()?;
        let place = place("filter chain", &chain.name, &chain.origin, "http.fault.expires");
        Some((place, &**fault))
    });
    let of_routes = routes(config).filter_map(|placed| {
        let fault = placed.route.fault.as_ref()?.as_ref()?;
        Some((placed.place("fault.expires"), &**fault))
    });
    of_chains.chain(of_routes)
}

fn one(findings: &mut Findings<'_>, place: Place<'_>, fault: &Fault) {
    let shares = [
        fault.delay.map(|delay| delay.fraction),
        fault.abort.map(|abort| abort.fraction),
        fault.response_rate.map(|rate| rate.fraction),
    ];
    let bounded = fault.affected_max == NONE;
    if bounded || (!fault.by_header && shares.into_iter().flatten().all(|share| share == NONE)) {
        findings.remark(
            Code::FaultOfNothing,
            place,
            "this fault touches no request: its share is 0".to_owned(),
            "give it a share, or remove it",
        );
        return;
    }
    let breaks_all = shares[..2].iter().flatten().any(|share| *share == Fraction::ALL);
    let guarded = !fault.headers.is_empty()
        || !fault.identities.is_empty()
        || fault.affected_max != Fraction::ALL
        || fault.active_max.is_some()
        || fault.expires.is_some();
    if breaks_all && !guarded {
        findings.remark(
            Code::FaultUnguarded,
            place,
            "this fault breaks every request, whoever sends it, with no end".to_owned(),
            "ask for `headers` or `identities`, or write `affected_max`, `active_max` or `expires`",
        );
    }
}
