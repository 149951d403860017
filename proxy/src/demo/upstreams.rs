//! The demo's two upstreams: `hello` greets, `echo` says what it received.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use serde_json::{Map, json};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The running upstreams. Dropping it ends them.
pub(super) struct Upstreams {
    pub(super) hello: SocketAddr,
    pub(super) echo: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Upstreams {
    /// Starts both on ports of loopback that the kernel picks.
    pub(super) async fn start() -> std::io::Result<Upstreams> {
        let mut tasks = JoinSet::new();
        let hello = serve(Router::new().fallback(greet), &mut tasks).await?;
        let echo = serve(Router::new().fallback(repeat), &mut tasks).await?;
        Ok(Upstreams {
            hello,
            echo,
            _tasks: tasks,
        })
    }
}

async fn serve(router: Router, tasks: &mut JoinSet<()>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "an upstream of the demo ended");
        }
    });
    Ok(address)
}

async fn greet() -> &'static str {
    "hello from the first upstream\n"
}

async fn repeat(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut fields = Map::new();
    for (name, value) in &headers {
        fields.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
    }
    let received = json!({
        "upstream": "echo",
        "method": method.as_str(),
        "target": uri.to_string(),
        "headers": fields,
        "body": String::from_utf8_lossy(&body),
    });
    ([(CONTENT_TYPE, "application/json")], format!("{received:#}\n"))
}
