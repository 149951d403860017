//! `outrigger demo` as a newcomer meets it: the real binary, its terminal, its file, and Ctrl-C.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running demo and what it has said.
struct Demo {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outrigger"))
            .arg("demo")
            .args(arguments)
            .env_remove("OUTRIGGER_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Demo {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Waits for a line that holds `what`, and gives it.
    fn line(&mut self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.said += &line;
            self.said.push('\n');
            if line.contains(what) {
                return line;
            }
        }
        panic!("no line with `{what}` in:\n{}", self.said);
    }

    fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the demo does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own; status line, headers and body as they came.
fn ask(address: SocketAddr, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The address after `http://` in a line that the demo printed.
fn address_in(line: &str) -> SocketAddr {
    let rest = line.split_once("http://").unwrap().1;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && !".:".contains(c))
        .unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

#[test]
fn it_serves_reloads_what_is_edited_and_ends_on_interrupt() {
    let mut demo = Demo::start(&["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let gateway = address_in(&demo.line("An edge gateway listens"));
    let file = PathBuf::from(demo.line("gateway.yaml").trim());
    let admin = address_in(&demo.line("/metrics"));
    demo.line("status\t");

    assert!(ask(gateway, "GET /hello", "").ends_with("hello from the first upstream\n"));
    let echoed = ask(gateway, "POST /echo/x?y", "ahoy");
    assert!(
        echoed.contains(r#""target": "/x?y""#) && echoed.contains(r#""body": "ahoy""#),
        "{echoed}"
    );
    assert!(ask(gateway, "GET /nowhere", "").starts_with("HTTP/1.1 503 "));
    assert!(ask(admin, "GET /metrics", "").contains("outrigger_route_requests_total"));
    let dump = ask(admin, "GET /config_dump", "");
    assert!(dump.contains(r#""tcp_user_timeout":"off""#), "{dump}");
    let traffic = demo.line("GET /hello");
    assert!(
        traffic.starts_with("200\t") && traffic.contains("\thello\t"),
        "{traffic}"
    );
    assert!(demo.line("GET /nowhere").starts_with("503\t"), "{}", demo.said);

    let written = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        written.replacen("forward: { cluster: hello }", "forward: { cluster: echo }", 1),
    )
    .unwrap();
    demo.line("configuration 2 is in force");
    assert!(ask(gateway, "GET /hello", "").contains(r#""upstream": "echo""#));

    std::fs::write(
        &file,
        written.replacen("forward: { cluster: hello }", "forward: { cluster: helo }", 1),
    )
    .unwrap();
    demo.line("not reloaded");
    if !demo.said.contains("helo") {
        demo.line("helo");
    }
    assert!(
        ask(gateway, "GET /hello", "").contains(r#""upstream": "echo""#),
        "the configuration before stays"
    );

    demo.interrupt();
    assert_eq!(demo.ended().code(), Some(0), "{}", demo.said);
    assert!(!file.exists(), "its directory is removed");
}

#[test]
fn a_taken_port_is_told_with_the_flag_that_helps() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for (arguments, flag) in [
        (["--listen", taken.as_str(), "--admin", "127.0.0.1:0"], "--listen"),
        (["--listen", "127.0.0.1:0", "--admin", taken.as_str()], "--admin"),
    ] {
        let mut demo = Demo::start(&arguments);
        let error = demo.line("error: ");
        assert!(error.contains(&taken) && error.contains(flag), "{error}");
        assert_eq!(demo.ended().code(), Some(1));
    }
}
