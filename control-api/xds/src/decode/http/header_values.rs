//! Headers by which proxies and clients are named: `server`, `via`, `x-forwarded-for`, `x-forwarded-client-cert`.

use crate::decode::{Extras, Refusals};
use crate::support::{Message, message};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager,
    http_connection_manager::{
        ForwardClientCertDetails as Mode, ServerHeaderTransformation, SetCurrentClientCertDetails,
    },
};
use outrigger_config::document::{Map, Path, Value};

pub(super) const MESSAGES: &[&Message] = &[&CERTIFICATE_DETAILS];

message! {
    pub(super) CERTIFICATE_DETAILS, refuse_details: SetCurrentClientCertDetails
        as "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails" {
        used: subject, cert, chain, dns, uri;
        refused: issuer, format;
        ignored: ;
    }
}

pub(super) fn put(
    refusals: &mut Refusals,
    map: &mut Map,
    path: &Path,
    manager: &HttpConnectionManager,
    given: &Extras,
) {
    let place = path.field("server_header_transformation");
    let server = match ServerHeaderTransformation::try_from(manager.server_header_transformation) {
        Ok(ServerHeaderTransformation::Overwrite) if manager.server_name.is_empty() => None,
        Ok(ServerHeaderTransformation::Overwrite) => {
            let path = path.field("server_name");
            let value = Value::text(&path, manager.server_name.as_str());
            Some(Map::new(&path).with("set", value).into())
        }
        Ok(ServerHeaderTransformation::PassThrough) => Some(Value::plain(&place, "pass")),
        Ok(ServerHeaderTransformation::AppendIfAbsent) | Err(_) => {
            refusals.unsupported(&place, "naming ourselves only where the upstream names nobody");
            None
        }
    };
    if !given.has("server_header") {
        map.put_some("server_header", server);
    }
    if !manager.via.is_empty() && !given.has("via_header") {
        let path = path.field("via");
        let value = Value::text(&path, manager.via.as_str());
        map.put("via_header", Map::new(&path).with("append", value).into());
    }
    let place = path.field("xff_num_trusted_hops");
    map.put(
        "xff_num_trusted_hops",
        Value::plain(&place, manager.xff_num_trusted_hops),
    );
    client_certificate(refusals, map, path, manager);
}

fn client_certificate(refusals: &mut Refusals, map: &mut Map, path: &Path, manager: &HttpConnectionManager) {
    let place = path.field("forward_client_cert_details");
    let mode = match Mode::try_from(manager.forward_client_cert_details) {
        Ok(Mode::Sanitize) => "sanitize",
        Ok(Mode::ForwardOnly) => "forward_only",
        Ok(Mode::AppendForward) => "append_forward",
        Ok(Mode::SanitizeSet) => "sanitize_set",
        Ok(Mode::AlwaysForwardOnly) => "always_forward_only",
        Err(_) => {
            let found = manager.forward_client_cert_details;
            return refusals.fault(&place, format!("there is no mode {found}"));
        }
    };
    let mut forward = Map::new(&place).with("mode", Value::plain(&place, mode));
    if let Some(details) = &manager.set_current_client_cert_details {
        let path = path.field("set_current_client_cert_details");
        refuse_details(refusals, &path, details);
        let told = [
            ("cert", details.cert),
            ("chain", details.chain),
            ("subject", details.subject.is_some_and(|subject| subject.value)),
            ("uri", details.uri),
            ("dns", details.dns),
        ];
        let told = told.into_iter().filter(|(_, told)| *told);
        let told: Vec<Value> = told
            .map(|(word, _)| Value::plain(&path.field(word), word))
            .collect();
        if !told.is_empty() {
            forward.put("details", Value::list(&path, told));
        }
    }
    map.put("forward_client_certificate", forward.into());
}
