//! Policy routing for TPROXY: a rule that sends marked packets to a table of ours, and the route in it that keeps them
//! here. Both carry a protocol number, by which they are found again.

use super::plan::Inbound;

/// Says of a rule or route who made it; none of the numbers in iproute2's `rt_protos`.
pub(super) const PROTOCOL: &str = "79";

/// The families, as `ip` is told.
const FAMILIES: [&str; 2] = ["-4", "-6"];

/// The calls of `ip` that install what the inbound side needs.
pub(super) fn apply(inbound: &Inbound) -> Vec<Vec<String>> {
    let mark = format!("{:#x}", inbound.route_mark);
    let table = inbound.route_table.to_string();
    let mut calls = Vec::new();
    for family in FAMILIES {
        calls.push(call(&[
            family, "rule", "add", "fwmark", &mark, "lookup", &table, "protocol", PROTOCOL,
        ]));
        calls.push(call(&[
            family, "route", "add", "local", "default", "dev", "lo", "table", &table, "protocol", PROTOCOL,
        ]));
    }
    calls
}

/// The calls of `ip` that remove it, whatever mark and table it was installed with.
pub(super) fn remove() -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for family in FAMILIES {
        calls.push(call(&[family, "rule", "flush", "protocol", PROTOCOL]));
        calls.push(call(&[
            family, "route", "flush", "table", "all", "protocol", PROTOCOL,
        ]));
    }
    calls
}

/// The calls of `ip` that print it. Rules are printed all: those that are ours say so.
pub(super) fn show() -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for family in FAMILIES {
        calls.push(call(&[family, "rule", "show"]));
        calls.push(call(&[
            family, "route", "show", "table", "all", "protocol", PROTOCOL,
        ]));
    }
    calls
}

fn call(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
