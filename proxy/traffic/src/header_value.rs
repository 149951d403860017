//! Header values that are put together from what is known of a request.
//!
//! Whatever stands in the request, a value that comes out is a legal field value: texts of the policy are legal, so are
//! the values of fields that were parsed, a path holds no control characters, and blanks at the ends, which an empty
//! part may have laid bare, are cut off.

use outrigger_config::model::HeaderValuePart;
use std::io::Write;
use std::net::IpAddr;

/// Where the parts of a value come from.
pub trait ValueSource {
    /// What the variable of the route's path template took.
    fn path_variable(&self, name: &str) -> Option<&str>;
    /// The first field of this name in the request.
    fn request_header(&self, name: &str) -> Option<&[u8]>;
    /// The client.
    fn client_address(&self) -> IpAddr;
    /// The version that the client spoke, as in `HTTP/1.1`.
    fn protocol(&self) -> &str;
    /// The address of the endpoint that answered.
    fn upstream_host(&self) -> Option<&str>;
}

/// Puts a value together in `value`, which comes empty. A part that is not there is empty, and so may be the whole.
pub fn assemble(parts: &[HeaderValuePart], source: &impl ValueSource, value: &mut Vec<u8>) {
    for part in parts {
        match part {
            HeaderValuePart::Text(text) => value.extend_from_slice(text.as_bytes()),
            HeaderValuePart::PathVariable(name) => {
                value.extend_from_slice(source.path_variable(name).unwrap_or_default().as_bytes());
            }
            HeaderValuePart::RequestHeader(name) => {
                value.extend_from_slice(source.request_header(name.as_str()).unwrap_or_default());
            }
            HeaderValuePart::DownstreamRemoteAddress => {
                // Writing to a vector cannot fail.
                let _ = write!(value, "{}", source.client_address());
            }
            HeaderValuePart::Protocol => value.extend_from_slice(source.protocol().as_bytes()),
            HeaderValuePart::UpstreamHost => {
                value.extend_from_slice(source.upstream_host().unwrap_or_default().as_bytes());
            }
        }
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = value
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(0, |at| at + 1);
    value.truncate(end);
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(0);
    value.drain(..start);
}
