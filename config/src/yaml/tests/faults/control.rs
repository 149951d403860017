//! Faults of `control`.

use super::check;

#[test]
fn a_control_plane_is_reached_and_believed() {
    let url = "such as `https://control.example:15010`";
    let scheme = format!("`ftp://a:1` does not begin with `https://` or `http://` | {url}");
    let whole = format!("`http://a` is not `https://HOST:PORT` | {url}");
    let port = format!("`http://127.0.0.1:0` has no port | {url}");
    check(
        |fields| format!("control: {fields}\n"),
        &[
            ("{node: n, servers: «[»]}", &["this list may not be empty"]),
            ("{node: n, servers: [«ftp://a:1»]}", &[&scheme]),
            ("{node: n, servers: [«http://a»]}", &[&whole]),
            ("{node: n, servers: [«http://127.0.0.1:0»]}", &[&port]),
            (
                "{node: n, servers: [http://127.0.0.1:1, «grpc://127.0.0.1:1»]}",
                &["a second server `http://127.0.0.1:1` | the first stands at 1:30"],
            ),
            (
                "{node: «a b», servers: [http://127.0.0.1:1]}",
                &["`a b` is not a name | 1 to 253 printable ASCII characters without spaces"],
            ),
            (
                "«{»node: n, servers: [https://127.0.0.1:1]}",
                &[
                    "a server with TLS, and nothing says whose certificate is believed | one of `ca_file`, `roots` and \
                   `trust_bundle`",
                ],
            ),
            (
                "{node: n, servers: [http://192.0.2.1:1], «token_file»: t}",
                &["`token_file`, and http://192.0.2.1:1 is spoken to in plain text | write `https://`"],
            ),
        ],
    );
}
