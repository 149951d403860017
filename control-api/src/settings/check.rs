//! What of the file and the flags does not hold, and what they say together.

use super::raw::*;
use super::value::{self, Domain, Member, RawRole};
use super::*;
use crate::access::{IdentityGrant, Role, TokenGrant};
use crate::fleet::RETURN_WITHIN;
use crate::listen::ListenLimits;
use crate::rollout::{Pause, SETTLE_TIMEOUT, Terms};
use outrigger_config::model::SpiffeMatch;
use serde_saphyr::{Location, Spanned};

/// What is checked together.
struct Check<'a> {
    file: &'a Path,
    arguments: &'a ServeArguments,
}

type Checked<T> = Result<T, SettingsError>;

impl Raw {
    /// What it says together with the flags.
    ///
    /// # Errors
    /// The first thing that does not hold, with its place.
    pub(super) fn check(self, file: &Path, arguments: &ServeArguments) -> Checked<Settings> {
        let check = Check { file, arguments };
        let data_directory = arguments.data_directory.clone().or(self.data_directory);
        let data_directory = data_directory.unwrap_or_else(|| DATA_DIRECTORY.into());
        let trust_domain = check.trust_domain(self.trust_domain)?;
        let tls = check.tls(self.tls)?;
        let (grpc_flag, rest_flag) = (arguments.grpc_address, arguments.rest_address);
        let grpc = check.listen(self.grpc, ("--grpc-address", grpc_flag), GRPC_ADDRESS, &tls)?;
        let rest = check.listen(self.rest, ("--rest-address", rest_flag), REST_ADDRESS, &tls)?;
        let authority =
            check.authority(self.authority.unwrap_or_default(), &data_directory, &trust_domain)?;
        if let (
            None,
            Some(TlsSettings {
                certificate: ServerCertificate::Authority { .. },
                ..
            }),
        ) = (&authority, &tls)
        {
            let problem = "`tls.authority` needs the authority, which is not enabled; expected `tls.files`";
            return Err(check.wrong(None, problem));
        }
        let is_loopback = [&grpc, &rest]
            .iter()
            .all(|listen| listen.address.ip().to_canonical().is_loopback());
        Ok(Settings {
            access: check.access(self.access, is_loopback)?,
            store: check.store(self.store, &data_directory)?,
            release: self.release.map(|release| check.release(release)).transpose()?,
            nodes_return_within: RETURN_WITHIN,
            data_directory,
            trust_domain,
            grpc,
            rest,
            tls,
            authority,
        })
    }
}

impl Check<'_> {
    fn wrong(&self, position: Option<Location>, problem: impl Into<String>) -> SettingsError {
        let place = match (position, &self.arguments.config) {
            (None, None) => Place::Defaults,
            (position, _) => Place::File {
                file: self.file.to_owned(),
                position: position.map(|position| (position.line(), position.column())),
            },
        };
        SettingsError::Wrong {
            place,
            problem: problem.into(),
        }
    }

    fn wrong_flag(&self, flag: &'static str, problem: impl Into<String>) -> SettingsError {
        SettingsError::Wrong {
            place: Place::Flag(flag),
            problem: problem.into(),
        }
    }

    fn release(&self, raw: RawRelease) -> Checked<Terms> {
        let RawRelease {
            stages,
            pause,
            settle_timeout,
        } = raw;
        let settle_timeout = settle_timeout.map_or(SETTLE_TIMEOUT, |timeout| timeout.value.0);
        let pause = match pause {
            Some(pause) => {
                let read = pause.value.parse();
                read.map_err(|fault: String| self.wrong(Some(pause.referenced), fault))?
            }
            None => Pause::For(RELEASE_PAUSE),
        };
        let texts = stages.value.iter().map(String::as_str);
        Terms::read(texts, pause, settle_timeout).map_err(|fault| self.wrong(Some(stages.referenced), fault))
    }

    fn trust_domain(&self, raw: Option<Domain>) -> Checked<TrustDomain> {
        match (&self.arguments.trust_domain, raw) {
            (Some(name), _) => name
                .parse()
                .map_err(|fault| self.wrong_flag("--trust-domain", format!("{fault}"))),
            (None, Some(domain)) => Ok(domain.0),
            (None, None) => Ok(TRUST_DOMAIN.parse().expect("the default is a trust domain")),
        }
    }

    fn listen(
        &self,
        raw: RawListen,
        (flag, given): (&'static str, Option<SocketAddr>),
        default: &str,
        tls: &Option<TlsSettings>,
    ) -> Checked<ListenSettings> {
        let position = raw.address.as_ref().map(|address| address.referenced);
        let written = raw.address.map(|address| address.value);
        let address = given
            .or(written)
            .unwrap_or_else(|| default.parse().expect("the default is an address"));
        if tls.is_none() && !address.ip().to_canonical().is_loopback() {
            let problem = format!(
                "{address} is reached from other machines, and has no TLS; expected `tls`, or 127.0.0.1"
            );
            return Err(match given {
                Some(_) => self.wrong_flag(flag, problem),
                None => self.wrong(position, problem),
            });
        }
        let client_certificates = match &raw.client_certificates {
            Some(given) if matches!(given.value, RawClients::Required) => {
                if tls.is_none() {
                    let problem = "without TLS nobody shows a certificate; expected `tls`, or `optional`";
                    return Err(self.wrong(Some(given.referenced), problem));
                }
                ClientCertificates::Required
            }
            _ => ClientCertificates::Optional,
        };
        let connections_max = match raw.connections_max {
            Some(given) if given.value == 0 => {
                return Err(self.wrong(
                    Some(given.referenced),
                    "0 connections serve nobody; expected 1 or more",
                ));
            }
            Some(given) => given.value,
            None => ListenLimits::default().connections_max,
        };
        Ok(ListenSettings {
            address,
            client_certificates,
            connections_max,
        })
    }

    fn tls(&self, raw: Option<Spanned<RawTls>>) -> Checked<Option<TlsSettings>> {
        let position = raw.as_ref().map(|raw| raw.referenced);
        let is_written = raw.is_some();
        let raw = raw.map(|raw| raw.value).unwrap_or_default();
        let arguments = self.arguments;
        let files = arguments
            .tls_certificate_file
            .clone()
            .zip(arguments.tls_private_key_file.clone());
        let certificate = if let Some((certificate_file, private_key_file)) = files {
            ServerCertificate::Files(KeyFiles {
                certificate_file,
                private_key_file,
            })
        } else if !arguments.tls_name.is_empty() {
            value::server_names(&arguments.tls_name)
                .map_err(|problem| self.wrong_flag("--tls-name", problem))?
        } else {
            match (raw.files, raw.authority) {
                (Some(files), None) => ServerCertificate::Files(files.into()),
                (None, Some(names)) => value::server_names(&names.names.value)
                    .map_err(|problem| self.wrong(Some(names.names.referenced), problem))?,
                (None, None) if !is_written => {
                    if arguments.tls_client_roots_file.is_some() {
                        let problem =
                            "without TLS nobody shows a certificate; expected `tls`, or `--tls-name`";
                        return Err(self.wrong_flag("--tls-client-roots-file", problem));
                    }
                    return Ok(None);
                }
                _ => return Err(self.wrong(position, "expected one of `files` and `authority`")),
            }
        };
        Ok(Some(TlsSettings {
            certificate,
            client_roots_file: arguments.tls_client_roots_file.clone().or(raw.client_roots_file),
        }))
    }

    fn store(&self, raw: Option<RawStore>, data_directory: &Path) -> Checked<StoreSettings> {
        let embedded = || data_directory.join("mesh.redb");
        if let Some(text) = &self.arguments.store {
            return value::store(text, embedded()).map_err(|problem| self.wrong_flag("--store", problem));
        }
        Ok(match raw {
            None => StoreSettings::Embedded(embedded()),
            Some(RawStore::Directory(RawPath { path })) => StoreSettings::Directory(path),
            Some(RawStore::Embedded(RawPath { path })) => StoreSettings::Embedded(path),
            Some(RawStore::Etcd(etcd)) => {
                value::etcd_endpoints(&etcd.endpoints.value)
                    .map_err(|problem| self.wrong(Some(etcd.endpoints.referenced), problem))?;
                StoreSettings::Etcd(EtcdSettings {
                    endpoints: etcd.endpoints.value,
                    prefix: etcd.prefix.unwrap_or_else(|| value::ETCD_PREFIX.to_owned()),
                    roots_file: etcd.roots_file,
                    client: etcd.client.map(KeyFiles::from),
                    user: etcd.user.map(|user| (user.name, user.password_file)),
                })
            }
        })
    }

    fn authority(
        &self,
        raw: RawAuthority,
        data_directory: &Path,
        trust_domain: &TrustDomain,
    ) -> Checked<Option<AuthoritySettings>> {
        if raw.enabled == Some(false) {
            return Ok(None);
        }
        let signer = match raw.signer {
            None => SignerSettings::Generated(data_directory.join("authority.json")),
            Some(RawSigner::Generated(RawPath { path })) => SignerSettings::Generated(path),
            Some(RawSigner::Files(files)) => SignerSettings::Files {
                signer: KeyFiles {
                    certificate_file: files.certificate_file,
                    private_key_file: files.private_key_file,
                },
                roots_file: files.roots_file,
            },
        };
        let validity = raw.certificate_validity_max;
        let certificate_validity_max = match validity {
            Some(given) if given.value.0 < Duration::from_secs(60) => {
                return Err(self.wrong(Some(given.referenced), "expected at least 1m"));
            }
            Some(given) => given.value.0,
            None => CERTIFICATE_VALIDITY_MAX,
        };
        let mut join_tokens = Vec::with_capacity(raw.join_tokens.len());
        for token in raw.join_tokens {
            join_tokens.push(self.join_token(token, trust_domain)?);
        }
        Ok(Some(AuthoritySettings {
            signer,
            certificate_validity_max,
            bundle_file: self.arguments.bundle_file.clone().or(raw.bundle_file),
            kubernetes: raw.kubernetes.map(|raw| self.kubernetes(raw)).transpose()?,
            join_tokens,
        }))
    }

    fn join_token(&self, token: Spanned<RawJoinToken>, trust_domain: &TrustDomain) -> Checked<JoinToken> {
        let position = token.referenced;
        let RawJoinToken {
            name,
            digest,
            spiffe_id,
            spiffe_prefix,
            expires,
            reusable,
        } = token.value;
        let allows = self.spiffe_match(position, spiffe_id, spiffe_prefix)?;
        let (SpiffeMatch::Exact(id) | SpiffeMatch::Prefix(id)) = &allows else {
            return Err(self.wrong(Some(position), "expected `spiffe_id` or `spiffe_prefix`"));
        };
        if id.trust_domain() != trust_domain.as_str() {
            let problem = format!("{id} is not of this server's trust domain, {trust_domain}");
            return Err(self.wrong(Some(position), problem));
        }
        if !reusable {
            let problem = "a token that is written down here cannot be used up: it would hold again after a restart; \
                           expected `reusable: true`, or one made by `outrigger-control`";
            return Err(self.wrong(Some(position), problem));
        }
        Ok(JoinToken {
            name,
            digest: digest.0,
            allows,
            expires: expires.map(|moment| moment.0),
            reusable,
        })
    }

    fn kubernetes(&self, raw: RawKubernetes) -> Checked<KubernetesSettings> {
        if raw.issuer.value.is_empty() {
            return Err(self.wrong(
                Some(raw.issuer.referenced),
                "expected the issuer's URL, what `iss` holds",
            ));
        }
        if raw.audiences.value.is_empty() {
            let problem = "without an audience a token for anybody would be one for us; expected one or more";
            return Err(self.wrong(Some(raw.audiences.referenced), problem));
        }
        let keys = match raw.keys {
            RawKeys::File(RawPath { path }) => KeysSettings::File(path),
            RawKeys::Url(raw) => {
                value::keys_url(&raw.url.value)
                    .map_err(|problem| self.wrong(Some(raw.url.referenced), problem))?;
                KeysSettings::Url {
                    url: raw.url.value,
                    roots_file: raw.roots_file,
                    token_file: raw.token_file,
                }
            }
        };
        let refresh = match raw.refresh {
            Some(given) if given.value.0 < Duration::from_secs(1) => {
                return Err(self.wrong(Some(given.referenced), "expected at least 1s"));
            }
            given => given.map_or(JWKS_REFRESH, |given| given.value.0),
        };
        Ok(KubernetesSettings {
            issuer: raw.issuer.value,
            audiences: raw.audiences.value,
            keys,
            refresh,
        })
    }

    fn spiffe_match(
        &self,
        position: Location,
        id: Option<Member>,
        prefix: Option<Member>,
    ) -> Checked<SpiffeMatch> {
        match (id, prefix) {
            (Some(id), None) => Ok(SpiffeMatch::Exact(id.0)),
            (None, Some(prefix)) => Ok(SpiffeMatch::Prefix(prefix.0)),
            _ => Err(self.wrong(Some(position), "expected one of `spiffe_id` and `spiffe_prefix`")),
        }
    }

    fn access(&self, raw: RawAccess, is_loopback: bool) -> Checked<Grants> {
        let mut grants = Grants::default();
        for token in raw.tokens {
            let position = token.referenced;
            let RawToken {
                name,
                digest,
                expires,
                roles: given,
            } = token.value;
            let grant = TokenGrant {
                name,
                digest: digest.0,
                expires: expires.map(|moment| moment.0),
                roles: self.roles(position, given)?,
            };
            let is_same = |other: &TokenGrant| other.name == grant.name || other.digest == grant.digest;
            if grants.tokens.iter().any(is_same) {
                return Err(self.wrong(Some(position), "another token has this name or this digest"));
            }
            grants.tokens.push(grant);
        }
        for identity in raw.identities {
            let position = identity.referenced;
            let RawIdentity {
                spiffe_id,
                spiffe_prefix,
                roles: given,
            } = identity.value;
            grants.identities.push(IdentityGrant {
                identity: self.spiffe_match(position, spiffe_id, spiffe_prefix)?,
                roles: self.roles(position, given)?,
            });
        }
        let nothing_granted = grants.tokens.is_empty() && grants.identities.is_empty();
        grants.loopback = match raw.loopback_administrator {
            _ if self.arguments.no_loopback_administrator => false,
            Some(given) if given.value && !is_loopback => {
                let problem = "an address that other machines reach has no loopback default; expected `false`, and roles \
                               for tokens or identities";
                return Err(self.wrong(Some(given.referenced), problem));
            }
            Some(given) => given.value,
            None => is_loopback && nothing_granted,
        };
        Ok(grants)
    }

    fn roles(&self, position: Location, raw: Vec<RawRole>) -> Checked<Vec<Role>> {
        value::roles(raw).map_err(|problem| self.wrong(Some(position), problem))
    }
}

impl From<RawKeyFiles> for KeyFiles {
    fn from(raw: RawKeyFiles) -> KeyFiles {
        KeyFiles {
            certificate_file: raw.certificate_file,
            private_key_file: raw.private_key_file,
        }
    }
}
