//! Secrets: identities and trust bundles.

use super::source::Data;
use super::tls::{Authorities, authorities, authority_source, certificate};
use super::{Refusals, SPIFFE_SECRET, check_name};
use crate::support::{self, message};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use outrigger_config::document::{Map, Parts, Path, Value, read_parts};
use tls::secret::Type;

pub(super) use tls::Secret as Message;

pub(crate) const MESSAGES: &[&support::Message] = &[&SECRET];

message! {
    SECRET, refuse_secret: tls::Secret as "envoy.extensions.transport_sockets.tls.v3.Secret" {
        used: name, r#type;
        refused: ;
        ignored: ;
    }
}

pub(super) fn decode(refusals: &mut Refusals, name: &str, message: &tls::Secret) -> Option<Parts> {
    let path = Path::root();
    refuse_secret(refusals, &path, message);
    check_name(refusals, "name", name, &message.name);
    if name == SPIFFE_SECRET {
        // It is for Envoy: all of it is in other secrets.
        return Some(Parts::default());
    }
    let mut part = Map::new(&path).with("name", Value::text(&path.field("name"), name));
    let list = match &message.r#type {
        Some(Type::TlsCertificate(message)) => {
            let at = path.field("tls_certificate");
            let (source, settings) = certificate(refusals, &at, message)?;
            part.put(source, settings.into());
            "identities"
        }
        Some(Type::ValidationContext(context)) => {
            let at = path.field("validation_context");
            if !context.match_typed_subject_alt_names.is_empty() {
                let what = "a name that a certificate must hold, in a secret,";
                refusals.unsupported(&at.field("match_typed_subject_alt_names"), what);
            }
            trust_bundle(refusals, &at, context, &mut part)?;
            "trust_bundles"
        }
        Some(Type::SessionTicketKeys(_)) => {
            let what = "keys of session tickets, which are made and changed here,";
            refusals.unsupported(&path.field("session_ticket_keys"), what);
            return None;
        }
        Some(Type::GenericSecret(_)) => {
            refusals.unsupported(&path.field("generic_secret"), "a secret of another kind");
            return None;
        }
        None => {
            refusals.fault(&path, "there is no secret in it");
            return None;
        }
    };
    if !refusals.is_empty() {
        return None;
    }
    let document = Map::new(&path).with(list, Value::list(&path, [part.into()]));
    read_parts(&format!("secret `{name}`"), document.into())
        .map_err(|faults| refusals.extend(&faults))
        .ok()
}

fn trust_bundle(
    refusals: &mut Refusals,
    path: &Path,
    context: &tls::CertificateValidationContext,
    part: &mut Map,
) -> Option<()> {
    let (at, data) = match authorities(refusals, path, context)? {
        Authorities::Data(at, data) => (at, data),
        Authorities::System(at) => {
            refusals.unsupported(&at, "a secret that is the operating system's authorities");
            return None;
        }
        Authorities::Spiffe(at, domains) => match <[(String, Path, Data); 1]>::try_from(domains) {
            Ok([(domain, place, data)]) => {
                part.put("trust_domain", Value::text(&at, domain));
                (place, data)
            }
            Err(_) => {
                let help = "send a secret for each";
                refusals.fault_with_help(
                    &at,
                    "several trust domains in one secret are not implemented",
                    help,
                );
                return None;
            }
        },
        Authorities::Ours(map) => {
            for (name, value) in map.into_fields() {
                part.put(name, value);
            }
            return Some(());
        }
    };
    let (field, value) = authority_source(refusals, &at, data)?;
    part.put(field, value);
    Some(())
}
