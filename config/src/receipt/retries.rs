//! Retries that nothing ever allows, and such that multiply.

use super::Code;
use super::findings::{Findings, Placed};
use crate::model::{Forward, HeaderEdits, RetryBudgetOptions, RouteAction};

/// Headers by which the next proxy is asked to retry.
const ASK_TO_RETRY: [&str; 3] = ["x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries"];

/// Retry policies of routes.
pub(super) fn of_routes(findings: &mut Findings<'_>) {
    for placed in findings.routes() {
        findings.step();
        let RouteAction::Forward(forward) = &placed.route.action else {
            continue;
        };
        if forward.retry.is_some() {
            budget(findings, placed, forward);
            multiply(findings, placed);
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

fn multiply(findings: &mut Findings<'_>, placed: Placed<'_>) {
    let asks = |edits: &HeaderEdits| {
        let mut names = edits.write.iter().map(|edit| edit.name.as_str().to_owned());
        names.find(|name| ASK_TO_RETRY.contains(&name.as_str()))
    };
    let edits = [&placed.route.request_headers, &placed.host.request_headers];
    if let Some(name) = edits.into_iter().find_map(asks) {
        findings.remark(
            Code::RetriesMultiply,
            placed.place("forward.retry"),
            format!("retries multiply: this route retries, and asks the next proxy to retry by `{name}`"),
            "retry in one place: write `retry: off`, or do not write that header",
        );
    }
}
