//! Retries that nothing ever allows, and such that multiply.

use super::Code;
use super::findings::{Findings, Placed};
use crate::model::{Forward, HeaderEdits, RetryBudgetOptions, RouteAction};

/// Headers by which the next proxy is asked to retry.
const ASK_TO_RETRY: [&str; 3] = ["x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries"];

/// Retry policies of routes.
pub(super) fn of_routes(findings: &mut Findings<'_>) {
    for (configuration, host) in findings.hosts() {
        let by_host = asks(&host.request_headers);
        for route in &host.routes {
            findings.step();
            let placed = Placed {
                configuration,
                host,
                route,
            };
            if let RouteAction::Forward(forward) = &route.action
                && forward.retry.is_some()
            {
                budget(findings, placed, forward);
                multiply(findings, placed, by_host);
            }
        }
    }
}

/// True if no retry is ever within this budget.
fn allows_nothing(budget: RetryBudgetOptions) -> bool {
    budget.percent == 0 && budget.concurrency_min == 0
}

fn budget(findings: &mut Findings<'_>, placed: Placed<'_>, forward: &Forward) {
    let mut none = None;
    for target in forward.clusters.iter().filter(|target| target.weight > 0) {
        findings.step();
        match findings.clusters.get(&target.cluster) {
            Some(cluster) if allows_nothing(cluster.retry_budget) => none = Some(&target.cluster),
            _ => return,
        }
    }
    if let Some(cluster) = none {
        findings.remark(
            Code::RetryBudgetNothing,
            placed.place("forward.retry"),
            format!("nothing is ever retried or hedged: the retry budget of the cluster `{cluster}` is 0"),
            "give the cluster's `retry_budget` a `percent` or a `concurrency_min`, or write `retry: off`",
        );
    }
}

/// The header that is written and by which the next proxy is asked to retry.
fn asks(edits: &HeaderEdits) -> Option<&str> {
    let mut names = edits.write.iter().map(|edit| edit.name.as_str());
    names.find(|name| ASK_TO_RETRY.contains(name))
}

/// `by_host`: the header that the virtual host writes to every request.
fn multiply(findings: &mut Findings<'_>, placed: Placed<'_>, by_host: Option<&str>) {
    if let Some(name) = asks(&placed.route.request_headers).or(by_host) {
        findings.remark(
            Code::RetriesMultiply,
            placed.place("forward.retry"),
            format!("retries multiply: this route retries, and asks the next proxy to retry by `{name}`"),
            "retry in one place: write `retry: off`, or do not write that header",
        );
    }
}
