//! Wrong secrets.

use super::good::{Good, spoilt, wrapped};
use crate::Wrong;
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    Secret, TlsCertificate, TlsSessionTicketKeys, secret::Type,
};
use outrigger_xds::resource::ResourceType;
use prost::Message;

type Edit = fn(&mut Secret);

fn certificate(secret: &mut Secret) -> &mut TlsCertificate {
    match &mut secret.r#type {
        Some(Type::TlsCertificate(certificate)) => certificate,
        _ => panic!("it is a certificate"),
    }
}

fn text(text: &str) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineString(text.to_owned())),
        ..DataSource::default()
    })
}

const EDITS: &[(&str, &str, Edit)] = &[
    ("no secret", "there is no secret in it", |one| one.r#type = None),
    (
        "a certificate that is no PEM",
        "tls_certificate.certificate_chain",
        |one| {
            certificate(one).certificate_chain = text("no PEM");
        },
    ),
    ("a key that is no PEM", "tls_certificate.private_key", |one| {
        certificate(one).private_key = text("no PEM");
    }),
    ("no certificate", "tls_certificate", |one| {
        certificate(one).certificate_chain = None
    }),
    ("no key", "tls_certificate", |one| {
        certificate(one).private_key = None
    }),
    ("a key that is encrypted", "tls_certificate.password", |one| {
        certificate(one).password = text("secret");
    }),
    ("keys of tickets", "session_ticket_keys", |one| {
        one.r#type = Some(Type::SessionTicketKeys(TlsSessionTicketKeys::default()));
    }),
];

pub(crate) fn all(good: &Good) -> Vec<Wrong> {
    let resource_type = ResourceType::Secret;
    let wrong = |(what, field, edit): &(&'static str, &'static str, Edit)| {
        let mut message: Secret = good.message(resource_type);
        edit(&mut message);
        Wrong {
            what,
            resource_type,
            resource: wrapped(resource_type, spoilt(resource_type), "", message.encode_to_vec()),
            name: spoilt(resource_type),
            field,
        }
    };
    EDITS.iter().map(wrong).collect()
}
