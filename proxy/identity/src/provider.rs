//! The one TLS provider, its versions and its key exchange.

use outrigger_config::model::{PostQuantum, TlsVersions};
use rustls::SupportedProtocolVersion;
use rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use std::sync::{Arc, OnceLock};

/// Aws-lc-rs with its default suites: all of them AEAD, as a test holds, with ephemeral keys. Key exchange with
/// X25519MLKEM768 is offered first.
pub fn provider() -> Arc<CryptoProvider> {
    provider_with(PostQuantum::Preferred)
}

/// The provider with key exchange as the setting says.
pub(crate) fn provider_with(post_quantum: PostQuantum) -> Arc<CryptoProvider> {
    static PROVIDERS: OnceLock<[Arc<CryptoProvider>; 3]> = OnceLock::new();
    let [off, preferred, required] = PROVIDERS.get_or_init(|| {
        [PostQuantum::Off, PostQuantum::Preferred, PostQuantum::Required]
            .map(|setting| Arc::new(make(setting)))
    });
    Arc::clone(match post_quantum {
        PostQuantum::Off => off,
        PostQuantum::Preferred => preferred,
        PostQuantum::Required => required,
    })
}

fn make(post_quantum: PostQuantum) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let is_hybrid = |name| name == X25519MLKEM768.name();
    match post_quantum {
        PostQuantum::Off => provider.kx_groups.retain(|group| !is_hybrid(group.name())),
        PostQuantum::Preferred => {
            provider.kx_groups.retain(|group| !is_hybrid(group.name()));
            provider.kx_groups.insert(0, X25519MLKEM768);
        }
        PostQuantum::Required => provider.kx_groups = vec![X25519MLKEM768],
    }
    provider
}

/// The versions that the setting means.
pub(crate) fn versions(versions: TlsVersions) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    match versions {
        TlsVersions::From12 => BOTH,
        TlsVersions::Only13 => &BOTH[..1],
        TlsVersions::Only12 => &BOTH[1..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_is_aead_with_ephemeral_keys() {
        for suite in &provider().cipher_suites {
            let name = format!("{:?}", suite.suite());
            assert!(
                name.contains("GCM") || name.contains("CHACHA20_POLY1305"),
                "{name}"
            );
            assert!(
                name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"),
                "{name}"
            );
        }
    }

    #[test]
    fn key_exchange_is_as_the_setting_says() {
        let groups = |setting| {
            let provider = provider_with(setting);
            let names = provider
                .kx_groups
                .iter()
                .map(|group| format!("{:?}", group.name()));
            names.collect::<Vec<_>>()
        };
        let hybrid = "X25519MLKEM768".to_owned();
        assert!(!groups(PostQuantum::Off).contains(&hybrid));
        assert_eq!(groups(PostQuantum::Preferred)[0], hybrid);
        assert!(groups(PostQuantum::Preferred).len() > 1);
        assert_eq!(groups(PostQuantum::Required), [hybrid]);
    }
}
