//! The objects of mesh documents, field by field.
//!
//! Wherever the configuration document has a word for something, this is that word: whole objects are taken from it,
//! less what a mesh says for itself. In objects that are taken over, a service stands where the document has a cluster
//! (see [`super::targets`]).

use crate::yaml::shape::{Field, Kind, Shape, defaulted, fields_of, optional, required};
use crate::yaml::shapes::{
    ACCESS_LOGS, AUTHORIZATION_POLICY, CLUSTER, DISCOVERY, DOWNSTREAM_TLS, ENDPOINT, HTTP, JWT_PROVIDER,
    LISTENER, POLICIES, RATE_LIMIT, RETRY_OR_OFF, ROUTE, TCP, UPSTREAM_TLS, VIRTUAL_HOST,
};

const PORT_NUMBER: Kind = Kind::Integer { min: 1, max: 65_535 };
/// What is spoken on a service's port.
pub(crate) const PROTOCOLS: [&str; 5] = ["http", "http2", "grpc", "tcp", "auto"];
/// Whether services ask for mutual TLS.
pub(crate) const MUTUAL_TLS_WORDS: [&str; 3] = ["strict", "permissive", "off"];
const ADDRESSES: Kind = Kind::Either(&[Kind::Address, Kind::FilledList(&Kind::Address)]);
const SPIFFE_ID: Kind = Kind::Text("spiffe://example.org/ns/shop/sa/web");

pub(crate) static MESH: Shape = Shape::new(
    "mesh document",
    "A part of a mesh; all documents of a mesh together are the mesh.",
    &[
        optional(
            "defaults",
            Kind::Object(&DEFAULTS),
            "What holds in the whole mesh where nothing else is said; in one of the documents only.",
        ),
        optional(
            "services",
            Kind::List(&Kind::Object(&SERVICE)),
            "What is called, by whom, and how.",
        ),
        optional(
            "gateways",
            Kind::List(&Kind::Object(&GATEWAY)),
            "Where requests come in from outside.",
        ),
        optional(
            "nodes",
            Kind::List(&Kind::Object(&NODE)),
            "Proxies that differ from the others of their service; no other proxy needs to be declared.",
        ),
        optional(
            "authorization_policies",
            Kind::List(&Kind::Object(&AUTHORIZATION_POLICY)),
            "Who may do what, as in a configuration document; names are `NAMESPACE/NAME`.",
        ),
        optional(
            "jwt_providers",
            Kind::List(&Kind::Object(&JWT_PROVIDER)),
            "Whose tokens are accepted, as in a configuration document; names are `NAMESPACE/NAME`.",
        ),
        optional(
            "rate_limits",
            Kind::List(&Kind::Object(&RATE_LIMIT)),
            "How often something may be done, as in a configuration document; names are `NAMESPACE/NAME`.",
        ),
    ],
);

pub(crate) static DEFAULTS: Shape = Shape::new(
    "mesh defaults",
    "What holds in the whole mesh where nothing else is said.",
    &[
        optional(
            "trust_domain",
            Kind::Text("example.org"),
            "Services with a sidecar, and gateways, that say no `identity` are `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME`.",
        ),
        defaulted(
            "domain",
            Kind::Text("mesh"),
            "mesh",
            "What the full names of services end with: `catalog.shop.mesh`.",
        ),
        defaulted(
            "mutual_tls",
            Kind::Choice(&MUTUAL_TLS_WORDS),
            "strict",
            "Whether services that have an identity ask callers for theirs.",
        ),
        optional(
            "retry",
            RETRY_OR_OFF,
            "When failed attempts at services are repeated.",
        ),
        optional(
            "timeout",
            Kind::DurationOrOff { zero: true },
            "The `timeout` of every route that forwards and says none, gRPC too; as in a configuration document if not given.",
        ),
        optional(
            "access_logs",
            ACCESS_LOGS,
            "Where requests and connections are logged, inbound, outbound and at gateways; nowhere if not given.",
        ),
        optional(
            "cluster",
            Kind::Object(&SERVICE_CLUSTER),
            "How endpoints of services are called; a service's own fields stand in place of these.",
        ),
        optional(
            "sidecar",
            Kind::Object(&SIDECAR),
            "How sidecars are reached; a service's own fields stand in place of these.",
        ),
    ],
);

pub(crate) static SERVICE: Shape = Shape::new(
    "service",
    "Something that is called, and what it calls itself.",
    &[
        required(
            "name",
            Kind::Name,
            "`NAMESPACE/NAME`, of lower-case letters, digits and `-`. `shop/catalog` is called by the hosts `catalog.shop`, \
             `catalog.shop.DOMAIN` (see `domain`), and in its own namespace `catalog`.",
        ),
        optional(
            "hosts",
            Kind::List(&Kind::Text("catalog.example")),
            "Further hosts by which it is called; no two services have one.",
        ),
        required(
            "ports",
            Kind::FilledList(&Kind::Object(&PORT)),
            "Where it is called. Whoever names a service and no port means the first.",
        ),
        optional(
            "endpoints",
            Kind::List(&Kind::Object(&SERVICE_ENDPOINT)),
            "Where it runs: with sidecars, where these listen.",
        ),
        optional(
            "discovery",
            Kind::Object(&DISCOVERY),
            "Where endpoints come from if they are not listed: DNS. Only with one port.",
        ),
        optional(
            "identity",
            Kind::Either(&[SPIFFE_ID, Kind::FilledList(&SPIFFE_ID)]),
            "The SPIFFE ids of its proxies: callers take nobody else for it.",
        ),
        optional(
            "mutual_tls",
            Kind::Choice(&MUTUAL_TLS_WORDS),
            "strict: callers need an identity. permissive: callers without TLS are served too, as ones without identity. \
             off: plain text. The mesh's if not given; off without `identity`.",
        ),
        optional(
            "tls",
            Kind::Object(&UPSTREAM_TLS),
            "TLS that the service ends itself; `identity` is for TLS that its sidecars end.",
        ),
        optional(
            "cluster",
            Kind::Object(&SERVICE_CLUSTER),
            "How callers' proxies call its endpoints.",
        ),
        optional(
            "virtual_host",
            Kind::Object(&SERVICE_VIRTUAL_HOST),
            "What callers' proxies do with all requests to it.",
        ),
        optional(
            "routes",
            Kind::List(&Kind::Object(&ROUTE)),
            "What callers' proxies do with requests to it, the first that matches; if not given, they go to its endpoints. \
             One that forwards and names no service means this one, on the port that was called.",
        ),
        optional(
            "inbound",
            Kind::Object(&INBOUND),
            "What its own sidecars do with requests to it.",
        ),
        optional(
            "outbound",
            Kind::Object(&OUTBOUND),
            "What its own sidecars do with what it sends.",
        ),
        optional(
            "uses",
            Kind::List(&Kind::Either(&[Kind::Name, Kind::Object(&USE)])),
            "The services that it calls: its proxies know no others.",
        ),
        optional(
            "sidecar",
            Kind::Object(&SIDECAR),
            "It has sidecars, and how they are reached; `{}` for the mesh's way.",
        ),
    ],
)
.with_at_most_one(&["endpoints", "discovery"]);

pub(crate) static PORT: Shape = Shape::new(
    "service port",
    "A port on which a service is called.",
    &[
        required("port", PORT_NUMBER, "The number that callers know."),
        optional(
            "name",
            Kind::Name,
            "Unique in the service; the number if not given.",
        ),
        defaulted(
            "protocol",
            Kind::Choice(&PROTOCOLS),
            "http",
            "What is spoken: http is HTTP/1.1; http2 and grpc are HTTP/2; auto: sidecars detect HTTP and pass the rest on as bytes, \
             callers speak HTTP.",
        ),
        optional(
            "application_port",
            PORT_NUMBER,
            "Where the application listens, on 127.0.0.1; `port` if not given.",
        ),
        optional(
            "addresses",
            Kind::FilledList(&Kind::Text("10.96.0.5/32")),
            "Prefixes of the addresses under which it is called, by which intercepted connections of TCP ports are told apart \
             where one port number is not enough.",
        ),
    ],
);

static SERVICE_ENDPOINT_FIELDS: [Field; ENDPOINT.fields.len() + 1] = fields_of(
    &ENDPOINT,
    &[],
    &[optional(
        "ports",
        Kind::Map(&PORT_NUMBER),
        "Port numbers at this endpoint, by names of the service's ports. `address` is for the first; of the others not here, \
         `application_port`.",
    )],
);

pub(crate) static SERVICE_ENDPOINT: Shape = Shape::new(
    "service endpoint",
    "One address that serves, or whose sidecar does.",
    &SERVICE_ENDPOINT_FIELDS,
);

static SERVICE_CLUSTER_FIELDS: [Field; CLUSTER.fields.len() - 5] = fields_of(
    &CLUSTER,
    &["name", "discovery", "endpoints", "protocol", "tls"],
    &[],
);

pub(crate) static SERVICE_CLUSTER: Shape = Shape::new(
    "service cluster",
    "How endpoints are called, as a `cluster` of a configuration document says it; who they are, the service says.",
    &SERVICE_CLUSTER_FIELDS,
);

static SERVICE_VIRTUAL_HOST_FIELDS: [Field; VIRTUAL_HOST.fields.len() - 3] =
    fields_of(&VIRTUAL_HOST, &["name", "domains", "routes"], &[]);

pub(crate) static SERVICE_VIRTUAL_HOST: Shape = Shape::new(
    "service virtual host",
    "What is done with all requests to a service, as a virtual host of a configuration document says it.",
    &SERVICE_VIRTUAL_HOST_FIELDS,
);

static MESH_HTTP_FIELDS: [Field; HTTP.fields.len() - 1] = fields_of(&HTTP, &["route_configuration"], &[]);

pub(crate) static MESH_HTTP: Shape = Shape::new(
    "mesh http",
    "How HTTP is spoken, as a filter chain of a configuration document says it.",
    &MESH_HTTP_FIELDS,
);

static MESH_TCP_FIELDS: [Field; TCP.fields.len() - 3] =
    fields_of(&TCP, &["cluster", "subset", "weighted_clusters"], &[]);

pub(crate) static MESH_TCP: Shape = Shape::new(
    "mesh tcp",
    "How bytes are passed on, as a filter chain of a configuration document says it.",
    &MESH_TCP_FIELDS,
);

pub(crate) static INBOUND: Shape = Shape::new(
    "inbound",
    "What sidecars do with requests to their own service.",
    &[
        optional(
            "authorization",
            POLICIES,
            "Authorization policies, by their full names; without any, everything is allowed.",
        ),
        optional(
            "http",
            Kind::Object(&MESH_HTTP),
            "How HTTP is spoken: `rate_limits`, `fault`, `jwt`, `external_authorization` and the like.",
        ),
        optional("tcp", Kind::Object(&MESH_TCP), "How bytes are passed on."),
        optional(
            "routes",
            Kind::List(&Kind::Object(&ROUTE)),
            "What is done with requests, the first that matches; if not given, the application gets them. One that forwards \
             and names no service means the application; it has no `timeout` if it says none, since callers have theirs.",
        ),
        optional(
            "cluster",
            Kind::Object(&SERVICE_CLUSTER),
            "How the application is called, `circuit_breakers` for one.",
        ),
    ],
);

pub(crate) static OUTBOUND: Shape = Shape::new(
    "outbound",
    "What sidecars do with what their own service sends.",
    &[
        optional(
            "http",
            Kind::Object(&MESH_HTTP),
            "How HTTP is spoken with the application.",
        ),
        optional("tcp", Kind::Object(&MESH_TCP), "How bytes are passed on."),
        defaulted(
            "unknown",
            Kind::Choice(&["refuse", "pass"]),
            "refuse",
            "What becomes of intercepted connections and requests to what `uses` does not name: pass sends them where they \
             were meant for.",
        ),
    ],
);

pub(crate) static USE: Shape = Shape::new(
    "use",
    "A service that is called.",
    &[
        required("service", Kind::Name, "The service."),
        optional("port", PORT_NUMBER, "This port only; all if not given."),
        optional(
            "address",
            Kind::Address,
            "A listener for this port alone, for applications that are told an address rather than a host.",
        ),
    ],
);

pub(crate) static SIDECAR: Shape = Shape::new(
    "sidecar",
    "How the sidecars of a service are reached.",
    &[
        defaulted(
            "interception",
            Kind::Choice(&["redirect", "tproxy", "off"]),
            "redirect",
            "How connections come to them: by rules of the kernel, or, `off`, since they are addressed.",
        ),
        optional(
            "inbound",
            ADDRESSES,
            "Where they listen for callers: with interception for every port (0.0.0.0:15006 if not given), else for the \
             service's first.",
        ),
        optional(
            "inbound_ports",
            Kind::Map(&Kind::Address),
            "Where they listen for callers of further ports, by names; only without interception.",
        ),
        defaulted(
            "outbound",
            ADDRESSES,
            "127.0.0.1:15001",
            "Where they listen for their application. Without interception it is an HTTP proxy by hosts, for the first \
             HTTP port of each service, or for that which `uses` names.",
        ),
        optional(
            "application_ports",
            Kind::Map(&PORT_NUMBER),
            "Where the application listens, by names of ports, in place of `application_port`.",
        ),
    ],
);

pub(crate) static GATEWAY: Shape = Shape::new(
    "gateway",
    "Proxies that take requests from outside.",
    &[
        required("name", Kind::Name, "`NAMESPACE/NAME`."),
        optional(
            "identity",
            Kind::Either(&[SPIFFE_ID, Kind::FilledList(&SPIFFE_ID)]),
            "The SPIFFE ids of its proxies, towards services.",
        ),
        required(
            "listeners",
            Kind::FilledList(&Kind::Object(&GATEWAY_LISTENER)),
            "Where it listens.",
        ),
        optional(
            "virtual_hosts",
            Kind::List(&Kind::Object(&GATEWAY_VIRTUAL_HOST)),
            "What is done with HTTP requests, on listeners that have none of their own.",
        ),
    ],
);

static GATEWAY_LISTENER_FIELDS: [Field; LISTENER.fields.len() + 4] = fields_of(
    &LISTENER,
    &["filter_chains"],
    &[
        optional(
            "tls",
            Kind::Object(&DOWNSTREAM_TLS),
            "TLS is terminated here: certificates by the names of identities that the gateway gets, or in its files; plain \
             text if not given.",
        ),
        optional(
            "http",
            Kind::Object(&MESH_HTTP),
            "How HTTP is spoken; it is if `tcp` is not given.",
        ),
        optional("tcp", Kind::Object(&TCP), "Where bytes are passed on to."),
        optional(
            "authorization",
            POLICIES,
            "Authorization policies, by their full names; without any, everything is allowed.",
        ),
        optional(
            "virtual_hosts",
            Kind::List(&Kind::Object(&GATEWAY_VIRTUAL_HOST)),
            "What is done with HTTP requests here; the gateway's if not given.",
        ),
    ],
);

pub(crate) static GATEWAY_LISTENER: Shape = Shape::new(
    "gateway listener",
    "A listener of a configuration document with one filter chain.",
    &GATEWAY_LISTENER_FIELDS,
)
.with_at_most_one(&["tcp", "http"]);

static GATEWAY_VIRTUAL_HOST_FIELDS: [Field; VIRTUAL_HOST.fields.len() + 1] = fields_of(
    &VIRTUAL_HOST,
    &[],
    &[optional(
        "service",
        Kind::Name,
        "This service's routes are these, as they are for its callers in the mesh.",
    )],
);

pub(crate) static GATEWAY_VIRTUAL_HOST: Shape = Shape::new(
    "gateway virtual host",
    "Routes for a set of domains, which forward to services.",
    &GATEWAY_VIRTUAL_HOST_FIELDS,
)
.with_at_most_one(&["service", "routes"]);

pub(crate) static NODE: Shape = Shape::new(
    "node",
    "A proxy that differs from the others of its service.",
    &[
        required("name", Kind::Name, "What it calls itself (its node id)."),
        required("service", Kind::Name, "Whose sidecar it is."),
        required(
            "sidecar",
            Kind::Object(&SIDECAR),
            "How it is reached; these fields stand in place of the service's.",
        ),
    ],
);
