//! YAML itself, the top of the document, names and references.

use super::check;

#[test]
fn yaml_that_is_none_or_not_one_map() {
    check(
        |text| text.to_owned(),
        &[
            ("«»", &["the document is empty"]),
            (
                "«listeners»",
                &["expected a map (configuration), found `listeners`"],
            ),
            ("«-» a\n", &["expected a map (configuration), found a list"]),
            (
                "a: [1, 2\nb«:» 3\n",
                &["this is not YAML: illegal placement of ':' indicator"],
            ),
            (
                "admin: {}\n«---»\nadmin: {}\n",
                &["a second document | a configuration is one document: remove `---`"],
            ),
            (
                "admin: «!thing» {address: 127.0.0.1:1}\n",
                &["the tag `!thing` is not supported | remove the tag"],
            ),
            (
                "admin: «*nowhere»\n",
                &["no anchor `&nowhere` comes before this alias"],
            ),
            (
                "clusters: &all\n- name: a\n  endpoints: «*all»\n",
                &["this alias stands inside its own anchor"],
            ),
            (
                "? «[»a, b]\n: c\n",
                &["a key must be a text, not a list or a map"],
            ),
            (
                "admin: {address: 127.0.0.1:1}\ndrain: {}\n«admin»: {address: 127.0.0.1:2}\n",
                &["the key `admin` stands twice | it stands first at 1:1"],
            ),
        ],
    );
}

#[test]
fn top_level_fields() {
    check(
        |text| text.to_owned(),
        &[
            (
                "«listner»: []\n",
                &["unknown field `listner` in configuration | did you mean `listeners`?"],
            ),
            (
                "«x»: 1\n",
                &[
                    "unknown field `x` in configuration | it may have `admin`, `runtime`, `drain`, `listeners`, `route_configurations`, `clusters`, `identities`, `trust_bundles`, `revocation`, `authorization_policies`, `jwt_providers`, `rate_limits`, `overload`, `telemetry` and `control`",
                ],
            ),
            (
                "«static_resources»: {}\n",
                &[
                    "unknown field `static_resources` in configuration | not implemented: configuration by xDS; \
                   listeners, route_configurations and clusters stand at the top of the document",
                ],
            ),
            (
                "«wasm»: {}\n",
                &["unknown field `wasm` in configuration | not implemented: WebAssembly extensions"],
            ),
            (
                "«<<»: {}\n",
                &[
                    "unknown field `<<` in configuration | merge keys are not supported; use an alias for a whole value",
                ],
            ),
            (
                "«admin»:\n",
                &["`admin` has no value | give it one, or remove the field"],
            ),
            (
                "«admin»: ~\n",
                &["`admin` has no value | give it one, or remove the field"],
            ),
            (
                "admin: «127.0.0.1:1»\n",
                &["expected a map (admin), found `127.0.0.1:1`"],
            ),
            ("clusters: «{»}\n", &["expected a list, found a map"]),
            ("clusters: [«a»]\n", &["expected a map (cluster), found `a`"]),
        ],
    );
}

#[test]
fn addresses() {
    check(
        |address| format!("admin: {{address: {address}}}\n"),
        &[
            (
                "«localhost:1»",
                &[
                    "expected an IP address and a port, found `localhost:1` | host names are not resolved here",
                ],
            ),
            (
                "«127.0.0.1»",
                &["expected an IP address and a port, found `127.0.0.1` | add a port: `127.0.0.1:80`"],
            ),
            (
                "«'::1'»",
                &["expected an IP address and a port, found `::1` | add a port: `[::1]:80`"],
            ),
            (
                "«':80'»",
                &["expected an IP address and a port, found `:80` | write `0.0.0.0:80` for every address"],
            ),
            ("«[»]", &["expected an IP address and a port, found a list"]),
            (
                "«127.0.0.1:99999»",
                &["expected an IP address and a port, found `127.0.0.1:99999` | ports end at 65535"],
            ),
            (
                "«nowhere»",
                &[
                    "expected an IP address and a port, found `nowhere` | such as `127.0.0.1:8080` or `[::1]:8080`",
                ],
            ),
        ],
    );
}

#[test]
fn numbers_and_durations() {
    check(
        |text| text.to_owned(),
        &[
            ("runtime: {workers: «0»}\n", &["0 is not between 1 and 1024"]),
            ("runtime: {workers: «two»}\n", &["expected a number, found `two`"]),
            (
                "runtime: {workers: «'2'»}\n",
                &["expected a number, found the text \"2\" | remove the quotes"],
            ),
            ("runtime: {workers: «-1»}\n", &["expected a number, found `-1`"]),
            (
                "runtime: {workers: «99999999999999999999»}\n",
                &["`99999999999999999999` is too large"],
            ),
            (
                "drain: {grace: «5»}\n",
                &["the duration `5` has no unit | such as `5s`"],
            ),
            (
                "drain: {grace: «1m30s»}\n",
                &[
                    "the duration `1m30s` is not a whole number and a unit | units are ns, us, ms, s, m and h; `90s` \
                   rather than `1m30s` or `1.5m`",
                ],
            ),
            (
                "drain: {grace: «soon»}\n",
                &["expected a duration, found `soon` | such as `15s`, `250ms`, `5m`"],
            ),
            (
                "drain: {timeout: «9000h»}\n",
                &["the duration `9000h` is longer than a year"],
            ),
            (
                "drain: {timeout: «off»}\n",
                &["expected a duration, found `off` | such as `15s`, `250ms`, `5m`"],
            ),
        ],
    );
}

#[test]
fn names_and_references() {
    check(
        |text| text.to_owned(),
        &[
            (
                "clusters: [{name: «''»}]\n",
                &["a name has 1 to 253 characters, this one has 0"],
            ),
            (
                "clusters: [{name: «'a b'»}]\n",
                &["a name may not contain ' ' | names are made of A-Z a-z 0-9 . _ : / - | * ~"],
            ),
            (
                "clusters: [{name: «é»}]\n",
                &["a name may not contain 'é' | names are made of A-Z a-z 0-9 . _ : / - | * ~"],
            ),
            ("clusters: [«{»}]\n", &["missing field `name` in cluster"]),
            ("clusters: [{name: «[»a]}]\n", &["expected a name, found a list"]),
            (
                "clusters:\n- name: a\n- name: b\n- name: «a»\n",
                &["a second cluster `a` | the first stands at 2:9"],
            ),
            (
                "route_configurations: [{name: r}, {name: «r»}]\n",
                &["a second route configuration `r` | the first stands at 1:31"],
            ),
            (
                "route_configurations:\n- name: r\n  virtual_hosts:\n  - {name: v, domains: [a.example]}\n  \
                 - {name: «v», domains: [b.example, «A.example»]}\n",
                &[
                    "a second virtual host `v` | the first stands at 4:12",
                    "a second virtual host with the domain `a.example` | the first stands at 4:25",
                ],
            ),
        ],
    );
    check(
        super::super::with_chain,
        &[
            (
                "http: {route_configuration: «R»}",
                &["no route configuration is named `R` | did you mean `r`?"],
            ),
            (
                "http: {route_configuration: «nothing-like-it»}",
                &["no route configuration is named `nothing-like-it`"],
            ),
        ],
    );
    check(
        super::super::with_route,
        &[
            (
                "{match: {prefix: /}, forward: {cluster: «bakend»}}",
                &["no cluster is named `bakend` | did you mean `backend`?"],
            ),
            (
                "{match: {prefix: /}, forward: {weighted_clusters: [{cluster: «c», weight: 1}]}}",
                &["no cluster is named `c`"],
            ),
        ],
    );
}
