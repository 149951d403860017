//! Routes and virtual hosts: what never matches, and what has no effect there.

use super::Code;
use super::findings::{Findings, Placed, place};
use crate::model::{
    Cluster, Discovery, Forward, Fraction, HashPolicy, HashSource, Name, RouteAction,
    RouteExternalAuthorization, WeightedCluster,
};
use std::collections::{HashMap, HashSet};

/// Routes whose conditions or settings come to nothing on the chains that use them.
pub(super) fn of_routes(findings: &mut Findings<'_>) {
    for placed in findings.routes() {
        findings.step();
        identities(findings, placed);
        context(findings, placed);
        if let RouteAction::Forward(forward) = &placed.route.action {
            mirrors(findings, placed, forward);
            upgrades(findings, placed, forward);
            hashes(findings, placed, forward);
        }
    }
}

fn identities(findings: &mut Findings<'_>, placed: Placed<'_>) {
    let known = findings
        .around(placed.configuration)
        .is_none_or(|around| around.identities);
    if known {
        return;
    }
    let faults = placed.route.fault.as_ref().and_then(Option::as_ref);
    let asked = [
        (
            !placed.route.matches.source_identities.is_empty(),
            "match.source_identities",
            "this route is never taken",
        ),
        (
            faults.is_some_and(|fault| !fault.identities.is_empty()),
            "fault.identities",
            "this fault touches no request",
        ),
    ];
    for (_, field, what) in asked.into_iter().filter(|(asked, ..)| *asked) {
        findings.remark(
            Code::IdentityNeverKnown,
            placed.place(field),
            format!("{what}: no filter chain that uses it asks clients for a certificate"),
            "give the chain `tls: {client: …}`, or remove the condition",
        );
    }
}

fn context(findings: &mut Findings<'_>, placed: Placed<'_>) {
    let Some(RouteExternalAuthorization::Context(_)) = &placed.route.external_authorization else {
        return;
    };
    let by_grpc = findings
        .around(placed.configuration)
        .is_none_or(|around| around.grpc_authorization);
    if !by_grpc {
        findings.remark(
            Code::AuthorizationContextUnused,
            placed.place("external_authorization.context"),
            "`context` has no effect: no filter chain that uses this route asks over gRPC".to_owned(),
            "give the chain `external_authorization: {grpc: …}`, or remove it",
        );
    }
}

fn mirrors(findings: &mut Findings<'_>, placed: Placed<'_>, forward: &Forward) {
    for mirror in forward
        .mirrors
        .iter()
        .filter(|mirror| mirror.fraction == Fraction(0))
    {
        findings.remark(
            Code::MirrorOfNothing,
            placed.place("forward.mirrors"),
            format!("the cluster `{}` gets no copies: the share is 0", mirror.cluster),
            "give the mirror a share, or remove it",
        );
    }
}

fn upgrades(findings: &mut Findings<'_>, placed: Placed<'_>, forward: &Forward) {
    if forward.upgrade_idle_timeout.is_none() || placed.route.matches.connect {
        return;
    }
    let upgrades = match &forward.upgrades {
        Some(own) => !own.is_empty(),
        None => findings
            .around(placed.configuration)
            .is_none_or(|around| around.upgrades),
    };
    if !upgrades {
        findings.remark(
            Code::UpgradeTimeoutUnused,
            placed.place("forward.upgrade_idle_timeout"),
            "`upgrade_idle_timeout` has no effect: this route lets nothing be upgraded".to_owned(),
            "write `upgrades: [websocket]`, or remove it",
        );
    }
}

/// A policy that always gives a hash and is the last one.
fn ends(policy: &HashPolicy) -> bool {
    policy.terminal
        && matches!(
            policy.source,
            HashSource::SourceAddress | HashSource::Cookie { ttl: Some(_), .. }
        )
}

fn hashes(findings: &mut Findings<'_>, placed: Placed<'_>, forward: &Forward) {
    let last = forward.hash_policy.iter().position(ends);
    if last.is_some_and(|last| last + 1 < forward.hash_policy.len()) {
        findings.remark(
            Code::HashPolicyUnused,
            placed.place("forward.hash_policy"),
            "the last entries of `hash_policy` are never looked at: a `terminal` one before them always gives a hash".to_owned(),
            "put it last, or remove those after it",
        );
    }
}

/// Virtual hosts that answer before any route is looked at, and headers that are never sent.
pub(super) fn of_hosts(findings: &mut Findings<'_>) {
    for (configuration, host) in findings.hosts() {
        findings.step();
        let place = |field| place("virtual host", &host.name, &host.origin, field);
        let never_https = findings
            .around(configuration)
            .is_some_and(|around| !around.tls && !around.trusts_proxies);
        if host
            .maintenance
            .as_ref()
            .is_some_and(|page| page.allow.is_empty())
            && !host.routes.is_empty()
        {
            findings.remark(
                Code::RoutesBehindMaintenance,
                place("maintenance"),
                format!(
                    "no route of the virtual host `{}` is ever taken: everybody gets the maintenance page",
                    host.name
                ),
                "name in `allow` who is served as ever, or remove `maintenance`",
            );
        } else if host.https_redirect.is_some() && !host.routes.is_empty() && never_https {
            findings.remark(
                Code::RoutesBehindRedirect,
                place("https_redirect"),
                format!("no route of the virtual host `{}` is ever taken: no request comes by HTTPS, so that all are redirected", host.name),
                "use it in a filter chain with `tls`, too, or remove its routes",
            );
        }
        if host.hsts.is_some() && never_https {
            findings.remark(
                Code::HstsNeverSent,
                place("hsts"),
                "`hsts` has no effect: no filter chain that uses it has TLS".to_owned(),
                "give the chain `tls`, or remove it",
            );
        }
    }
}

type Pairs<'c> = Vec<(&'c str, &'c str)>;

/// Targets that ask for a subset in which nobody is, and subsets that nobody asks for.
pub(super) fn of_subsets(findings: &mut Findings<'_>) {
    let mut groups: HashMap<&Name, HashSet<Pairs<'_>>> = HashMap::new();
    let mut asked: HashSet<&Name> = HashSet::new();
    for placed in findings.routes() {
        let RouteAction::Forward(forward) = &placed.route.action else {
            continue;
        };
        for target in forward.clusters.iter().filter(|target| !target.subset.is_empty()) {
            findings.step();
            asked.insert(&target.cluster);
            let Some(cluster) = findings
                .clusters
                .get(&target.cluster)
                .copied()
                .filter(|cluster| is_listed(cluster))
            else {
                continue;
            };
            let groups = groups
                .entry(&cluster.name)
                .or_insert_with(|| grouped(findings, cluster));
            if has_selector(cluster, target) && !groups.contains(&pairs(target)) {
                findings.remark(
                    Code::SubsetOfNobody,
                    placed.place("forward.clusters.subset"),
                    format!(
                        "no endpoint of the cluster `{}` has the metadata {}",
                        cluster.name,
                        shown(target)
                    ),
                    "give an endpoint this `metadata`: else `fallback` says what happens",
                );
            }
        }
    }
    for (_, chain) in findings.chains() {
        let targets = chain
            .mode
            .tcp()
            .map(|tcp| tcp.clusters.as_slice())
            .unwrap_or_default();
        asked.extend(
            targets
                .iter()
                .filter(|target| !target.subset.is_empty())
                .map(|target| &target.cluster),
        );
    }
    for cluster in &findings.config.clusters {
        findings.step();
        // What is pushed is told to many: routes of others may ask.
        let is_shared = cluster.origin.path.is_some();
        if cluster.balancing.subsets.is_some() && !is_shared && !asked.contains(&cluster.name) {
            findings.remark(
                Code::SubsetsUnused,
                place("cluster", &cluster.name, &cluster.origin, "subsets"),
                "`subsets` has no effect: no route asks for a subset of this cluster".to_owned(),
                "ask for one by `subset` in a route's `forward`, or remove it",
            );
        }
    }
}

fn is_listed(cluster: &Cluster) -> bool {
    matches!(cluster.discovery, Discovery::Static) && !cluster.endpoints.is_empty()
}

/// Groups of a cluster's endpoints, by what they have of the keys of each selector.
fn grouped<'c>(findings: &mut Findings<'_>, cluster: &'c Cluster) -> HashSet<Pairs<'c>> {
    let selectors = cluster
        .balancing
        .subsets
        .iter()
        .flat_map(|subsets| &subsets.selectors);
    let mut groups = HashSet::new();
    for selector in selectors {
        for endpoint in &cluster.endpoints {
            findings.step();
            let of = |key: &'c String| Some((key.as_str(), endpoint.metadata.get(key)?.as_str()));
            if let Some(group) = selector.iter().map(of).collect::<Option<Pairs<'_>>>() {
                groups.insert(group);
            }
        }
    }
    groups
}

fn has_selector(cluster: &Cluster, target: &WeightedCluster) -> bool {
    let selectors = cluster
        .balancing
        .subsets
        .iter()
        .flat_map(|subsets| &subsets.selectors);
    selectors
        .into_iter()
        .any(|selector| selector.iter().eq(target.subset.keys()))
}

fn pairs(target: &WeightedCluster) -> Pairs<'_> {
    target
        .subset
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

fn shown(target: &WeightedCluster) -> String {
    let pairs: Vec<String> = target
        .subset
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    format!("`{{{}}}`", pairs.join(", "))
}
