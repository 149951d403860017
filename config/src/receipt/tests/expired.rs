//! Faults whose time is over: by the time that is passed in.

use super::source;
use crate::receipt::{Receipt, receipt};
use crate::{Environment, load};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2026-01-31T18:00:00Z.
const END: u64 = 1_769_882_400;

/// What is said of two faults, on a chain and on a route, that end one after the other.
fn said(now: SystemTime) -> Vec<String> {
    let text = "
listeners: [{name: l, address: 127.0.0.1:1, filter_chains: [{name: chain, http: {route_configuration: r,
  fault: {delay: {duration: 1s, percent: 1}, expires: \"2026-01-31T18:00:00Z\"}}}]}]
route_configurations: [{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [
  {name: late, match: {prefix: /}, direct_response: {status: 200}, fault: {abort: {percent: 1, status: 500}, expires: \"2026-01-31T18:00:01Z\"}}]}]}]
";
    let config = load(&source(text), &Environment::empty())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config;
    let mut receipt: Receipt = receipt(&config);
    assert!(receipt.is_empty(), "{}", receipt.remarks()[0]);
    receipt.add_expired(&config, now);
    assert_eq!(receipt.count(), receipt.remarks().len());
    let remarks = receipt.remarks().iter();
    remarks
        .map(|one| {
            let code = one.code().unwrap();
            format!("{code} {} {}", one.part().unwrap(), one.field().unwrap())
        })
        .collect()
}

#[test]
fn a_fault_has_expired_from_its_moment_on() {
    let at = |seconds| said(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(at(END - 1), [""; 0]);
    let chain = "fault-expired filter chain `chain` http.fault.expires";
    assert_eq!(at(END), [chain]);
    assert_eq!(at(END + 1), [chain, "fault-expired route `late` fault.expires"]);
}
