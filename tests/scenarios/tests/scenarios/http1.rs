//! HTTP/1 on both sides: connections, framing, interim responses, fields that stay and fields that go.

mod bodies;
mod connections;
mod fields;
mod timeouts;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
