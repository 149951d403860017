//! External authorization as YAML.

use super::authorization::string;
use super::emit::{Map, Out, list, text};
use super::{boolean, duration, number, pairs, size, word};
use crate::model::{AuthorizationService, DecisionCache, ExternalAuthorization, RouteExternalAuthorization};

pub(super) fn settings(settings: Option<&ExternalAuthorization>) -> Out {
    let Some(settings) = settings else {
        return word("off");
    };
    let mut map = Map::default();
    put_service(&mut map, &settings.service);
    map.put("timeout", duration(settings.timeout));
    map.put("failure_allowed", boolean(settings.failure_allowed));
    map.put("error_status", number(settings.error_status.into()));
    match &settings.request_headers {
        Some(names) => map.put("request_headers", list(names.iter().map(string))),
        None => map.comment("request_headers: all over gRPC, `authorization` over HTTP"),
    }
    match &settings.body {
        Some(body) => map.put(
            "body",
            Map::default()
                .with("bytes_max", size(body.bytes_max as u64))
                .with("partial_allowed", boolean(body.partial_allowed)),
        ),
        None => map.comment("body: not told"),
    }
    map.put(
        "include_peer_certificate",
        boolean(settings.include_peer_certificate),
    );
    if !settings.context.is_empty() {
        map.put("context", pairs(&settings.context));
    }
    match &settings.cache {
        Some(kept) => map.put("cache", cache(kept)),
        None => map.comment("cache: each request is asked for"),
    }
    map.into()
}

fn put_service(map: &mut Map, service: &AuthorizationService) {
    let mut asked = Map::default().with("cluster", text(service.cluster()));
    let authority = match service {
        AuthorizationService::Grpc(grpc) => &grpc.authority,
        AuthorizationService::Http(http) => &http.authority,
    };
    match authority {
        Some(authority) => asked.put("authority", text(authority)),
        None => asked.comment(match service {
            AuthorizationService::Grpc(_) => "authority: the cluster's name",
            AuthorizationService::Http(_) => "authority: the request's",
        }),
    }
    let AuthorizationService::Http(http) = service else {
        map.put("grpc", asked);
        return;
    };
    if !http.path_prefix.is_empty() {
        asked.put("path_prefix", text(&http.path_prefix));
    }
    for (name, names) in [
        ("upstream_headers", &http.upstream_headers),
        ("client_headers", &http.client_headers),
    ] {
        if !names.is_empty() {
            asked.put(name, list(names.iter().map(string)));
        }
    }
    map.put("http", asked);
}

fn cache(cache: &DecisionCache) -> Map {
    Map::default()
        .with("time_to_live", duration(cache.time_to_live))
        .with("entries_max", number(cache.entries_max as u64))
        .with(
            "headers",
            list(cache.headers.iter().map(|name| text(name.as_str()))),
        )
}

pub(super) fn of_route(route: &RouteExternalAuthorization) -> Out {
    match route {
        RouteExternalAuthorization::Off => word("off"),
        RouteExternalAuthorization::Context(told) => Map::default().with("context", pairs(told)).into(),
    }
}
