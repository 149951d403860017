//! `outrigger why`: asks the admin endpoint of a running proxy.

use crate::cli::{BAD_CONFIGURATION, RUNTIME_FAILURE, WhyArguments};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long the endpoint may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer: a thousand records of 8 KiB in words, several times over.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Prints what the proxy knows. Exit code 1 if it knows nothing of it, or cannot be asked.
pub(crate) fn run(arguments: &WhyArguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("epoll and a timer can be had");
    let target = target(arguments);
    let asked =
        runtime.block_on(async { tokio::time::timeout(TIMEOUT, ask(&arguments.admin, &target)).await });
    let admin = &arguments.admin;
    match asked {
        Ok(Ok((StatusCode::OK, text))) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Ok((StatusCode::BAD_REQUEST, text))) => {
            eprint!("error: {text}");
            ExitCode::from(BAD_CONFIGURATION)
        }
        Ok(Ok((_, text))) => {
            eprint!("{text}");
            ExitCode::from(RUNTIME_FAILURE)
        }
        Ok(Err(error)) => {
            eprintln!("error: cannot ask the admin endpoint {admin} (--admin): {error}");
            ExitCode::from(RUNTIME_FAILURE)
        }
        Err(_) => {
            eprintln!("error: the admin endpoint {admin} (--admin) did not answer in {TIMEOUT:?}");
            ExitCode::from(RUNTIME_FAILURE)
        }
    }
}

async fn ask(admin: &str, target: &str) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(admin).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get(target)
        .header(http::header::HOST, admin)
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::select! {
        answered = exchange => answered,
        ended = connection => {
            ended?;
            anyhow::bail!("it closed the connection")
        }
    }
}

/// What is asked, as a path with its query.
fn target(arguments: &WhyArguments) -> String {
    let mut target = "/explain?".to_owned();
    let status = arguments.status.map(|status| status.to_string());
    let limit = arguments.limit.map(|limit| limit.to_string());
    for (name, value) in [
        ("request-id", arguments.request_id.as_deref()),
        ("trace-id", arguments.trace_id.as_deref()),
        ("last-error", arguments.last_error.then_some("")),
        ("route", arguments.route.as_deref()),
        ("status", status.as_deref()),
        ("grpc-status", arguments.grpc_status.as_deref()),
        ("cluster", arguments.cluster.as_deref()),
        ("flag", arguments.flag.as_deref()),
        ("limit", limit.as_deref()),
        ("format", arguments.json.then_some("json")),
    ] {
        if let Some(value) = value {
            if !target.ends_with('?') {
                target.push('&');
            }
            target.push_str(name);
            target.push('=');
            value.bytes().for_each(|byte| encode(byte, &mut target));
        }
    }
    target
}

/// Percent-encodes what is not unreserved (RFC 3986 section 2.3).
fn encode(byte: u8, to: &mut String) {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(char::from(byte)),
        _ => {
            to.push('%');
            for digit in [byte >> 4, byte & 15] {
                to.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_encoded() {
        let arguments = WhyArguments {
            request_id: Some("a b&c=ä".to_owned()),
            trace_id: None,
            last_error: true,
            route: None,
            status: Some(503),
            grpc_status: Some("DATA_LOSS".to_owned()),
            cluster: None,
            flag: None,
            limit: None,
            json: false,
            admin: String::new(),
        };
        assert_eq!(
            target(&arguments),
            "/explain?request-id=a%20b%26c%3D%C3%A4&last-error=&status=503&grpc-status=DATA_LOSS"
        );
    }
}
