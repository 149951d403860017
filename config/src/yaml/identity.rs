//! Identities, trust bundles and revocation: who this proxy is, whom it believes, and whom no more.

use super::reader::{Fields, Part, Reader};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{
    AUTHORITY, IDENTITY, IDENTITY_FILES, INLINE_CERTIFICATE, KEY_KINDS, REVOCATION, REVOCATION_LIST,
    TRUST_BUNDLE, WORKLOAD_API,
};
use super::tree::Node;
use super::{Unique, peers};
use crate::model::{
    Authority, CertificateFiles, Identity, IdentitySource, InlineCertificate, KeyKind, Name, Revocation,
    RevocationList, Roots, Secret, TrustBundle, TrustDomain, TrustSource, WorkloadApi, defaults,
};
use crate::receipt::Code;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a certificate chain, a trust bundle or a revocation list that stands in the document.
const INLINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a private key: RSA of 16,384 bits takes 13 KiB.
const PRIVATE_KEY_BYTES_MAX: usize = 64 * 1024;
/// Revocation lists at most; each is looked at in every handshake.
const LISTS_MAX: usize = 1000;

pub(super) fn identities(reader: &mut Reader<'_>, nodes: &[Arc<Node>]) -> Vec<Arc<Identity>> {
    let mut names = Unique::new("identity");
    let read = |node: &Arc<Node>| {
        reader
            .within(|reader| identity(reader, node, &mut names))
            .map(Arc::new)
    };
    nodes.iter().filter_map(read).collect()
}

fn identity(reader: &mut Reader<'_>, node: &Node, names: &mut Unique<Name>) -> Option<Identity> {
    let fields = reader.fields(node, &IDENTITY)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("identity", name);
    }
    let files = fields
        .node(reader, "files")
        .and_then(|node| files(reader, node))
        .map(IdentitySource::Files);
    let inline = fields
        .node(reader, "inline")
        .and_then(|node| inline(reader, node))
        .map(IdentitySource::Inline);
    let workload_api = fields
        .node(reader, "workload_api")
        .and_then(|node| workload_api(reader, node))
        .map(IdentitySource::WorkloadApi);
    let authority = fields
        .node(reader, "authority")
        .and_then(|node| authority(reader, node))
        .map(|authority| IdentitySource::Authority(Box::new(authority)));
    Some(Identity {
        name: name?,
        source: files.or(inline).or(workload_api).or(authority)?,
        origin: reader.origin(node.span),
    })
}

fn files(reader: &mut Reader<'_>, node: &Node) -> Option<CertificateFiles> {
    let fields = reader.fields(node, &IDENTITY_FILES)?;
    let certificate_file = fields.file(reader, "certificate_file");
    let private_key_file = fields.file(reader, "private_key_file");
    let ocsp_staple_file = fields.file(reader, "ocsp_staple_file");
    Some(CertificateFiles {
        certificate_file: certificate_file?,
        private_key_file: private_key_file?,
        ocsp_staple_file,
    })
}

fn inline(reader: &mut Reader<'_>, node: &Node) -> Option<InlineCertificate> {
    let fields = reader.fields(node, &INLINE_CERTIFICATE)?;
    let chain = fields.parsed(reader, "certificate_chain", |text| {
        pem(text, "CERTIFICATE", "a certificate chain")
    });
    let key = fields.parsed(reader, "private_key", private_key);
    let staple = fields.parsed(reader, "ocsp_staple", scalar::base64);
    Some(InlineCertificate {
        certificate_chain: chain?,
        private_key: key?,
        ocsp_staple: staple,
    })
}

/// A text in PEM that holds a `label`. What is wrong is said without a word of the text: it may be a key.
fn pem(text: &str, label: &str, what: &str) -> Result<String, Problem> {
    if text.len() > INLINE_BYTES_MAX {
        return problem(format!("{what} has at most {INLINE_BYTES_MAX} bytes here"));
    }
    if text.contains("PRIVATE KEY-----") {
        return problem_with_help(
            format!("there is a private key where {what} is expected"),
            "private keys stand in `private_key` alone",
        );
    }
    match text.contains(&format!("-----BEGIN {label}-----"))
        && text.contains(&format!("-----END {label}-----"))
    {
        true => Ok(text.to_owned()),
        false => problem_with_help(
            format!("expected {what} in PEM"),
            format!("it begins with `-----BEGIN {label}-----`"),
        ),
    }
}

fn private_key(text: &str) -> Result<Secret, Problem> {
    if text == super::write::REDACTED {
        return problem_with_help(
            "this private key was taken out when the configuration was shown",
            "put the key in its place",
        );
    }
    if text.len() > PRIVATE_KEY_BYTES_MAX {
        return problem(format!(
            "a private key has at most {PRIVATE_KEY_BYTES_MAX} bytes here"
        ));
    }
    let begins = text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----");
    match begins && text.contains("-----END ") {
        true => Ok(Secret::new(text.as_bytes().to_vec())),
        false => problem_with_help(
            "expected a private key in PEM",
            "it begins with `-----BEGIN PRIVATE KEY-----`, or with `EC` or `RSA` in it",
        ),
    }
}

fn workload_api(reader: &mut Reader<'_>, node: &Node) -> Option<WorkloadApi> {
    let fields = reader.fields(node, &WORKLOAD_API)?;
    let socket = fields.parsed(reader, "socket", |text| {
        let file = text
            .strip_prefix("unix://")
            .or(text.strip_prefix("unix:"))
            .unwrap_or(text);
        match file.contains("://") {
            true => problem_with_help(
                format!("`{}` is not a Unix socket", scalar::shortened(text)),
                "such as `/run/spire/sockets/agent.sock`",
            ),
            false => scalar::file(file),
        }
    });
    let spiffe_id = fields.parsed(reader, "spiffe_id", scalar::workload_id);
    Some(WorkloadApi {
        socket: reader.resolve(&socket?),
        spiffe_id,
    })
}

fn authority(reader: &mut Reader<'_>, node: &Node) -> Option<Authority> {
    let fields = reader.fields(node, &AUTHORITY)?;
    let url = fields.parsed(reader, "url", authority_url);
    let roots = peers::roots_without_spiffe(reader, &fields);
    let server_name = fields.parsed(reader, "server_name", scalar::upstream_server_name);
    let token_file = fields.file(reader, "token_file");
    let spiffe_id = fields.parsed(reader, "spiffe_id", scalar::workload_id);
    let validity = fields.duration(reader, "validity");
    let kinds = [
        KeyKind::EcdsaP256,
        KeyKind::EcdsaP384,
        KeyKind::Ed25519,
        KeyKind::Rsa2048,
    ];
    let words: Vec<(&str, KeyKind)> = KEY_KINDS.into_iter().zip(kinds).collect();
    let key = fields.choice(reader, "key", &words);
    Some(Authority {
        url: url?,
        roots: roots?,
        server_name,
        token_file,
        spiffe_id: spiffe_id?,
        validity: validity.unwrap_or(defaults::CERTIFICATE_VALIDITY),
        key: key.unwrap_or(KeyKind::EcdsaP256),
    })
}

/// `https://HOST:PORT`: a token and an identity go over it.
fn authority_url(text: &str) -> Result<String, Problem> {
    let shown = scalar::shortened(text);
    let help = "such as `https://ca.example:15012`";
    let Some(authority) = text.strip_prefix("https://") else {
        return problem_with_help(format!("`{shown}` does not begin with `https://`"), help);
    };
    if let Some(authority) = authority.strip_suffix('/') {
        return problem_with_help(
            format!("`{shown}` has a path"),
            format!("write `https://{authority}`"),
        );
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if scalar::is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(text.to_owned())
        }
        _ => problem_with_help(format!("`{shown}` is not `https://HOST:PORT`"), help),
    }
}

pub(super) fn trust_bundles(
    reader: &mut Reader<'_>,
    nodes: &[Arc<Node>],
    identities: &[Arc<Identity>],
) -> Vec<Arc<TrustBundle>> {
    let mut names = Unique::new("trust bundle");
    let mut domains = Unique::new("trust bundle for the trust domain");
    let by_name: HashMap<&Name, &Identity> = identities.iter().map(|one| (&one.name, one.as_ref())).collect();
    let mut bundles = Vec::with_capacity(nodes.len());
    for node in nodes {
        if let Some(bundle) =
            reader.within(|reader| trust_bundle(reader, node, &mut names, &mut domains, &by_name))
        {
            bundles.push(Arc::new(bundle));
        }
    }
    refuse_circles(reader, &bundles, &by_name);
    bundles
}

fn trust_bundle(
    reader: &mut Reader<'_>,
    node: &Node,
    names: &mut Unique<Name>,
    domains: &mut Unique<TrustDomain>,
    identities: &HashMap<&Name, &Identity>,
) -> Option<TrustBundle> {
    let fields = reader.fields(node, &TRUST_BUNDLE)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("trust bundle", name);
    }
    let trust_domain = fields.parsed(reader, "trust_domain", scalar::trust_domain);
    if let Some(domain) = &trust_domain {
        domains.insert(reader, domain.clone(), fields.span_of("trust_domain"));
    }
    let file = fields.file(reader, "file").map(TrustSource::File);
    let inline = fields
        .parsed(reader, "inline", bundle_text)
        .map(TrustSource::Inline);
    let identity = reader.reference(&fields, "identity", Part::Identity);
    if let Some(source) = identity
        .as_ref()
        .and_then(|name| identities.get(name))
        .map(|one| &one.source)
        && matches!(source, IdentitySource::Files(_) | IdentitySource::Inline(_))
    {
        reader.fault_with_help(
            fields.span_of("identity"),
            "no trust bundle comes with this identity",
            "one comes with those from the Workload API and from authorities; write `file` or `inline`",
        );
    }
    let source = file.or(inline).or(identity.map(TrustSource::Identity));
    Some(TrustBundle {
        name: name?,
        source: source?,
        trust_domain,
        origin: reader.origin(node.span),
    })
}

fn bundle_text(text: &str) -> Result<String, Problem> {
    match text.trim_start().starts_with('{') && text.len() <= INLINE_BYTES_MAX {
        true => Ok(text.to_owned()),
        false => pem(text, "CERTIFICATE", "a trust bundle"),
    }
}

/// Refuses a trust bundle that comes from an authority that is believed only by that bundle: neither would ever come.
fn refuse_circles(
    reader: &mut Reader<'_>,
    bundles: &[Arc<TrustBundle>],
    identities: &HashMap<&Name, &Identity>,
) {
    let by_name: HashMap<&Name, &TrustBundle> = bundles.iter().map(|one| (&one.name, one.as_ref())).collect();
    let needed = |bundle: &TrustBundle| match &bundle.source {
        TrustSource::Identity(name) => match &identities.get(name)?.source {
            IdentitySource::Authority(authority) => match &authority.roots {
                Roots::Bundle(name) => by_name.get(name).copied(),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    for bundle in bundles {
        // Each bundle needs at most one other, so that the walk ends or comes back within as many steps as there are.
        let mut next = needed(bundle);
        for _ in 0..bundles.len() {
            match next {
                Some(other) if other.name == bundle.name => {
                    let message = format!(
                        "the trust bundle `{}` comes from an authority that is believed by this bundle alone",
                        bundle.name
                    );
                    let help = "believe the authority by another bundle, or by `ca_file`";
                    let at = reader.place(&bundle.origin);
                    reader.fault_with_help(at, message, help);
                    break;
                }
                Some(other) => next = needed(other),
                None => break,
            }
        }
    }
}

pub(super) fn revocation(reader: &mut Reader<'_>, document: &Fields<'_>) -> Revocation {
    let node = document.node(reader, "revocation");
    let Some(fields) = node.and_then(|node| reader.fields(node, &REVOCATION)) else {
        return Revocation::default();
    };
    let nodes = fields.list(reader, "lists");
    if nodes.len() > LISTS_MAX {
        let message = format!("more than {LISTS_MAX} revocation lists");
        reader.fault(fields.span_of("lists"), message);
    }
    let list = |node: &Arc<Node>| revocation_list(reader, node);
    let lists: Vec<RevocationList> = nodes.iter().take(LISTS_MAX).filter_map(list).collect();
    let list_required = fields.boolean(reader, "list_required").unwrap_or(false);
    let outdated_allowed = fields.boolean(reader, "outdated_allowed").unwrap_or(true);
    let denied = peers::spiffe_matches(reader, &fields, "denied", "denial of");
    if list_required && nodes.is_empty() {
        reader.warn(
            Code::RevocationListMissing,
            fields.key_span_of("list_required"),
            "every certificate is refused: a list is required, and there is none",
            "give `lists`, or remove it",
        );
    }
    Revocation {
        origin: reader.origin(fields.span),
        lists,
        list_required,
        outdated_allowed,
        denied,
    }
}

fn revocation_list(reader: &mut Reader<'_>, node: &Node) -> Option<RevocationList> {
    let fields = reader.fields(node, &REVOCATION_LIST)?;
    let file = fields.file(reader, "file").map(RevocationList::File);
    let inline = fields
        .parsed(reader, "inline", |text| {
            pem(text, "X509 CRL", "a revocation list")
        })
        .map(RevocationList::Inline);
    file.or(inline)
}
