//! Certificates of ours: by name, in files, or in the message itself.

use super::messages::{refuse_certificate, refuse_sds};
use crate::decode::source::{self, Data};
use crate::decode::{Extras, Refusals, unpack, value};
use base64::Engine as _;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::Struct;
use outrigger_config::document::{Map, Parts, Path, Reference, ReferenceKind, Value};
use outrigger_config::model::Origin;
use tls::private_key_provider::ConfigType;

/// Identities and trust bundles that one resource carries, under names made of the resource's.
#[derive(Debug)]
pub(crate) struct Credentials {
    owner: String,
    identities: Vec<Value>,
    trust_bundles: Vec<Value>,
    /// What was made already, so that the same bytes are one part.
    made: Vec<(Vec<u8>, String)>,
    /// Trust bundles that are believed by SPIFFE, where the resource says which there are.
    believed: Vec<String>,
}

impl Credentials {
    /// For a resource of this name.
    pub(crate) fn new(owner: &str) -> Credentials {
        Credentials {
            owner: owner.to_owned(),
            identities: Vec::new(),
            trust_bundles: Vec::new(),
            made: Vec::new(),
            believed: Vec::new(),
        }
    }

    /// Takes what concerns them out of the metadata of a part that has TLS.
    pub(crate) fn take(&mut self, refusals: &mut Refusals, extras: &mut Extras) {
        if let Some(names) = extras.take("trust_bundles") {
            match names.as_scalar() {
                Some("") => {}
                Some(names) => self.believed.extend(names.split(',').map(str::to_owned)),
                None => refusals.fault(names.path(), "expected names with commas between them"),
            }
        }
    }

    /// The name of a certificate and key, which `parts` are.
    fn identity(&mut self, path: &Path, content: Vec<u8>, parts: Map) -> Value {
        let (name, is_new) = self.named("certificate", content);
        if is_new {
            let identity = Map::new(path)
                .with("name", Value::text(path, name.as_str()))
                .with("inline", parts.into());
            self.identities.push(identity.into());
        }
        Value::text(path, name)
    }

    /// The name of authorities, which stand in `text`.
    pub(super) fn trust_bundle(&mut self, path: &Path, text: String) -> Value {
        let (name, is_new) = self.named("authorities", text.clone().into_bytes());
        if is_new {
            let bundle = Map::new(path)
                .with("name", Value::text(path, name.as_str()))
                .with("inline", Value::text(path, text));
            self.trust_bundles.push(bundle.into());
        }
        Value::text(path, name)
    }

    /// The authorities of a trust domain. They are named after the domain, not the resource: no two bundles speak for one
    /// domain, and those of several resources are one if they are the same.
    pub(super) fn trust_domain(&mut self, path: &Path, domain: &str, source: (&'static str, Value)) {
        let name = format!("spiffe/{domain}");
        if self.made.iter().any(|(_, made)| *made == name) {
            return;
        }
        self.made.push((Vec::new(), name.clone()));
        let bundle = Map::new(path)
            .with("name", Value::text(path, name))
            .with("trust_domain", Value::text(path, domain))
            .with(source.0, source.1);
        self.trust_bundles.push(bundle.into());
    }

    fn named(&mut self, what: &str, content: Vec<u8>) -> (String, bool) {
        let begins = format!("{}/{what}", self.owner);
        let same = |(made, name): &&(Vec<u8>, String)| *made == content && name.starts_with(&begins);
        if let Some((_, name)) = self.made.iter().find(same) {
            return (name.clone(), false);
        }
        let name = match self.made.len() {
            0 => begins,
            others => format!("{begins}-{}", others + 1),
        };
        self.made.push((content, name.clone()));
        (name, true)
    }

    /// Puts what is carried into the resource's document.
    pub(crate) fn put(&mut self, document: &mut Map, path: &Path) {
        for (list, parts) in [
            ("identities", &mut self.identities),
            ("trust_bundles", &mut self.trust_bundles),
        ] {
            if !parts.is_empty() {
                document.put(list, Value::list(path, std::mem::take(parts)));
            }
        }
    }

    /// Adds the trust bundles that are believed by SPIFFE to what the resource refers to, so that they are asked for.
    pub(crate) fn refer(&self, parts: &mut Parts) {
        for name in &self.believed {
            if parts
                .referred(ReferenceKind::TrustBundle)
                .all(|there| there != name)
            {
                parts.references.push(Reference {
                    kind: ReferenceKind::TrustBundle,
                    name: name.clone(),
                    origin: Origin::default(),
                });
            }
        }
    }
}

/// The certificates of a context. A client has one (`certificate`), a server a list (`certificates`).
pub(super) fn put(
    refusals: &mut Refusals,
    path: &Path,
    common: &tls::CommonTlsContext,
    credentials: &mut Credentials,
    side: super::Side,
    map: &mut Map,
) {
    let mut values = Vec::new();
    let at = path.field("tls_certificates");
    for (index, message) in common.tls_certificates.iter().enumerate() {
        let at = at.index(index);
        values.extend(one(refusals, &at, message, credentials));
    }
    let at = path.field("tls_certificate_sds_secret_configs");
    for (index, message) in common.tls_certificate_sds_secret_configs.iter().enumerate() {
        let at = at.index(index);
        let name = sds(refusals, &at, message);
        values.push(Map::new(&at).with("identity", name).into());
    }
    match side {
        super::Side::Downstream if values.is_empty() => {}
        super::Side::Downstream => map.put("certificates", Value::list(path, values)),
        super::Side::Upstream => {
            if values.len() > 1 {
                refusals.unsupported(&at, "more than one certificate of a client");
            }
            map.put_some("certificate", values.into_iter().next());
        }
    }
}

/// The name of a secret.
pub(super) fn sds(refusals: &mut Refusals, path: &Path, config: &tls::SdsSecretConfig) -> Value {
    refuse_sds(refusals, path, config);
    if let Some(from) = &config.sds_config {
        source::config_source(refusals, &path.field("sds_config"), from);
    }
    Value::text(&path.field("name"), config.name.as_str())
}

/// One certificate of a context, as an item of `certificates`.
fn one(
    refusals: &mut Refusals,
    path: &Path,
    message: &tls::TlsCertificate,
    credentials: &mut Credentials,
) -> Option<Value> {
    let (field, parts) = certificate(refusals, path, message)?;
    match field.as_str() {
        "files" => Some(parts.into()),
        "inline" => {
            let content = prost::Message::encode_to_vec(message);
            let name = credentials.identity(path, content, parts);
            Some(Map::new(path).with("identity", name).into())
        }
        _ => {
            let message = "this can be said of a secret only";
            refusals.fault(&path.field("private_key_provider"), message);
            None
        }
    }
}

/// The source of an identity: `files`, `inline`, or another of ours, with its settings.
pub(crate) fn certificate(
    refusals: &mut Refusals,
    path: &Path,
    message: &tls::TlsCertificate,
) -> Option<(String, Map)> {
    refuse_certificate(refusals, path, message);
    if let Some(provider) = &message.private_key_provider {
        return provided(refusals, path, message, provider);
    }
    let chain_path = path.field("certificate_chain");
    let chain = part(refusals, &chain_path, message.certificate_chain.as_ref(), true);
    let key_path = path.field("private_key");
    let key = part(refusals, &key_path, message.private_key.as_ref(), true);
    let staple_path = path.field("ocsp_staple");
    let staple = part(refusals, &staple_path, message.ocsp_staple.as_ref(), false);
    let mut map = Map::new(path);
    match (chain?, key?, staple) {
        (Data::File(chain), Data::File(key), staple) => {
            map.put("certificate_file", Value::text(&chain_path, chain));
            map.put("private_key_file", Value::text(&key_path, key));
            match staple {
                Some(Data::File(file)) => map.put("ocsp_staple_file", Value::text(&staple_path, file)),
                Some(Data::Inline(_)) => mixed(refusals, &staple_path),
                None => {}
            }
            Some(("files".to_owned(), map))
        }
        (chain @ Data::Inline(_), key @ Data::Inline(_), staple) => {
            let chain = chain.text(refusals, &chain_path)?;
            let key = key.text(refusals, &key_path)?;
            map.put("certificate_chain", Value::text(&chain_path, chain));
            map.put("private_key", Value::text(&key_path, key));
            match staple {
                Some(Data::Inline(bytes)) => {
                    let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
                    map.put("ocsp_staple", Value::text(&staple_path, text));
                }
                Some(Data::File(_)) => mixed(refusals, &staple_path),
                None => {}
            }
            Some(("inline".to_owned(), map))
        }
        _ => {
            mixed(refusals, &key_path);
            None
        }
    }
}

fn mixed(refusals: &mut Refusals, path: &Path) {
    refusals.unsupported(path, "a certificate of which a part is in a file and a part here");
}

fn part(
    refusals: &mut Refusals,
    path: &Path,
    data: Option<&envoy_types::pb::envoy::config::core::v3::DataSource>,
    is_required: bool,
) -> Option<Data> {
    match data {
        Some(data) => source::data(refusals, path, data),
        None => {
            if is_required {
                refusals.fault(path, "this field is missing");
            }
            None
        }
    }
}

/// An identity that is got here, from the Workload API or an authority: what it is stands in the document's words.
fn provided(
    refusals: &mut Refusals,
    path: &Path,
    message: &tls::TlsCertificate,
    provider: &tls::PrivateKeyProvider,
) -> Option<(String, Map)> {
    let at = path.field("private_key_provider");
    let tls::PrivateKeyProvider {
        provider_name,
        fallback,
        config_type,
    } = provider;
    let has_parts =
        message.certificate_chain.is_some() || message.private_key.is_some() || message.ocsp_staple.is_some();
    let settings = match config_type {
        Some(ConfigType::TypedConfig(any)) if provider_name == super::super::NAMESPACE => {
            let url = "type.googleapis.com/google.protobuf.Struct";
            unpack::<Struct>(refusals, &at.field("typed_config"), any, url)?
        }
        _ => {
            refusals.unsupported(&at, format!("the private key provider `{provider_name}`"));
            return None;
        }
    };
    if has_parts || *fallback {
        refusals.fault(
            &at,
            "this identity is got here, and has no certificate or key yet",
        );
    }
    let fields = value::struct_map(&at.field("typed_config"), &settings).into_fields();
    if let Ok([(kind, settings)]) = <[(String, Value); 1]>::try_from(fields)
        && let Ok(settings) = settings.into_map()
    {
        return Some((kind, settings));
    }
    refusals.fault(
        &at,
        "expected one source with its settings, such as `workload_api`",
    );
    None
}
