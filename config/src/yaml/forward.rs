//! Forwarding: what is sent where, for how long, and what goes with it.

use super::reader::{Fields, Reader};
use super::rewrite::{Matched, path_rewrite};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{FORWARD, MIRROR, SESSION_COOKIE};
use super::tree::Node;
use super::{Unique, hash_policy, retry, targets, upgrades};
use crate::model::{
    ConnectAction, Forward, Fraction, Mirror, RetryPolicy, RouteMatch, RoutePriority, SameSite,
    SessionCookie, defaults,
};
use crate::receipt::Code;
use std::sync::Arc;

/// What a forward's route and virtual host say.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) matched: Matched<'a>,
    /// None: it is wrong itself.
    pub(super) matches: Option<&'a RouteMatch>,
    /// The virtual host's policy.
    pub(super) retry: Option<&'a Arc<RetryPolicy>>,
}

pub(super) fn forward(reader: &mut Reader<'_>, node: &Node, around: Around<'_>) -> Option<Forward> {
    let matched = around.matched;
    let fields = reader.fields(node, &FORWARD)?;
    let clusters = targets::targets(reader, &fields);
    let path_rewrite = path_rewrite(reader, &fields, matched);
    let host_rewrite = fields.parsed(reader, "host_rewrite", scalar::authority);
    let timeout = fields.duration_or_off(reader, "timeout");
    let stream_idle_timeout = fields.duration_or_off(reader, "stream_idle_timeout");
    let upgrades = upgrades::upgrades(reader, &fields);
    let upgrade_idle_timeout = fields.duration_or_off(reader, "upgrade_idle_timeout");
    let connect = connect(reader, &fields, matched);
    let mirrors = mirrors(reader, &fields, matched);
    let session_cookie = fields
        .node(reader, "session_cookie")
        .and_then(|node| session_cookie(reader, node));
    let retry = match retry::policy(reader, &fields) {
        Some(own) => own,
        None => around.retry.cloned(),
    };
    if let Some(policy) = &retry {
        // The default timeout is not that of gRPC.
        let is_grpc = around.matches.is_some_and(|matches| matches.grpc);
        let whole = timeout.unwrap_or((!is_grpc).then_some(defaults::ROUTE_TIMEOUT));
        retry::warn(reader, &fields, policy, whole, around.matches);
    }
    let hash_policy = hash_policy::policies(reader, &fields);
    let priorities = [("default", RoutePriority::Default), ("high", RoutePriority::High)];
    Some(Forward {
        clusters,
        path_rewrite,
        host_rewrite,
        timeout: timeout.unwrap_or(Some(defaults::ROUTE_TIMEOUT)),
        timeout_explicit: timeout.is_some(),
        stream_idle_timeout,
        upgrades,
        upgrade_idle_timeout,
        connect: connect.unwrap_or(ConnectAction::Terminate),
        mirrors,
        session_cookie,
        retry,
        hash_policy,
        priority: fields
            .choice(reader, "priority", &priorities)
            .unwrap_or(RoutePriority::Default),
        stream_duration_max: fields.duration_or_off(reader, "stream_duration_max").flatten(),
        client_timeout_max: fields.duration(reader, "client_timeout_max"),
    })
}

fn connect(reader: &mut Reader<'_>, fields: &Fields<'_>, matched: Matched<'_>) -> Option<ConnectAction> {
    let words = [
        ("terminate", ConnectAction::Terminate),
        ("pass", ConnectAction::Pass),
    ];
    if fields.entry("connect").is_some() && !matches!(matched, Matched::Connect | Matched::Unknown) {
        let message = "`connect` on a route that takes no CONNECT requests";
        let help = "only one with `match: {connect: true}` does";
        reader.fault_with_help(fields.key_span_of("connect"), message, help);
    }
    if fields.entry("upgrades").is_some() && matched == Matched::Connect {
        let message = "`upgrades` has no effect on a route that takes CONNECT requests";
        reader.warn(
            Code::UpgradesUnused,
            fields.key_span_of("upgrades"),
            message,
            "remove it",
        );
    }
    fields.choice(reader, "connect", &words)
}

fn mirrors(reader: &mut Reader<'_>, fields: &Fields<'_>, matched: Matched<'_>) -> Vec<Mirror> {
    if matched == Matched::Connect && fields.entry("mirrors").is_some() {
        let message = "`mirrors` on a route that takes CONNECT requests, which cannot be copied";
        reader.fault_with_help(fields.key_span_of("mirrors"), message, "remove it");
    }
    let mut seen = Unique::new("mirror to the cluster");
    let mut mirrors = Vec::new();
    for node in fields.list(reader, "mirrors") {
        let Some(fields) = reader.fields(node, &MIRROR) else {
            continue;
        };
        let cluster = fields
            .node(reader, "cluster")
            .and_then(|node| targets::cluster(reader, node));
        if let Some(cluster) = &cluster {
            seen.insert(reader, cluster.clone(), fields.span_of("cluster"));
        }
        let fraction = fields
            .node(reader, "percent")
            .map_or(Some(Fraction::ALL), |node| {
                reader.parse(node, "a percentage", scalar::percent)
            });
        if let (Some(cluster), Some(fraction)) = (cluster, fraction) {
            mirrors.push(Mirror { cluster, fraction });
        }
    }
    mirrors
}

fn session_cookie(reader: &mut Reader<'_>, node: &Node) -> Option<SessionCookie> {
    let fields = reader.fields(node, &SESSION_COOKIE)?;
    let same_site = [
        ("strict", SameSite::Strict),
        ("lax", SameSite::Lax),
        ("none", SameSite::None),
    ];
    let name = fields.parsed(reader, "name", cookie_name);
    Some(SessionCookie {
        max_age: fields.whole_seconds(reader, "max_age"),
        path: fields
            .parsed(reader, "path", cookie_path)
            .unwrap_or_else(|| defaults::SESSION_COOKIE_PATH.to_owned()),
        strict: fields.boolean(reader, "strict").unwrap_or(false),
        same_site: fields.choice(reader, "same_site", &same_site),
        name: name?,
    })
}

/// RFC 6265, section 4.1.1.
pub(super) fn cookie_name(text: &str) -> Result<String, Problem> {
    match scalar::is_token(text) && text.len() <= 64 {
        true => Ok(text.to_owned()),
        false => problem_with_help(
            format!("`{}` is not the name of a cookie", scalar::shortened(text)),
            "it has 1 to 64 letters, digits and signs, no space and no `=`",
        ),
    }
}

pub(super) fn cookie_path(text: &str) -> Result<String, Problem> {
    match scalar::path(text)? {
        path if path.contains([';', ',']) => problem("the path of a cookie may not contain `;` or `,`"),
        path => Ok(path),
    }
}
