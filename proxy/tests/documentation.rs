//! Holds the documentation to the code: reference pages are printed from it, every configuration that a page shows is
//! loaded, and no link leads nowhere.
//!
//! `UPDATE_DOCS=1 cargo test -p outrigger-proxy --test documentation` rewrites the printed pages.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod documentation {
    pub(crate) mod configuration;
    pub(crate) mod flags;
}

use documentation::{configuration, flags};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Compares a page with what the code says, or rewrites it.
fn hold(page: &str, current: &str) {
    let path = root().join(page);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "{page} is not what the code says: run with UPDATE_DOCS=1"
    );
}

/// All Markdown pages: the root's, those of `docs/`, and the benchmarks'.
fn pages() -> Vec<(PathBuf, String)> {
    let root = root();
    let mut found = Vec::new();
    for directory in ["", "docs", "docs/control", "docs/decisions", "benches"] {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 10, "the pages are where they are looked for");
    found
}

/// The fenced blocks of one language, with the line that each starts on.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<(usize, Vec<&'p str>)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, Vec<&str>)> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(tag)) => open = Some((index + 2, tag.trim() == language, Vec::new())),
            (Some(_), Some(_)) => {
                if let Some((start, true, lines)) = open.take() {
                    found.push((start, lines));
                }
            }
            (Some((_, _, lines)), None) => lines.push(line),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block that is not closed");
    found
}

#[test]
fn flags_are_as_documented() {
    hold("docs/flags.md", &flags::page());
}

#[test]
fn fields_are_as_documented() {
    hold(
        "docs/configuration.md",
        &configuration::page(&outrigger_config::json_schema()),
    );
    hold(
        "docs/control/mesh-fields.md",
        &configuration::mesh_page(&outrigger_config::mesh_json_schema()),
    );
}

/// A directory with the certificates that examples name.
fn workplace() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let certificates = directory.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    let names = ["a.example", "*.b.example", "localhost"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    for name in ["server", "client", "ca", "api", "web", "root"] {
        std::fs::write(certificates.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        let key = certificates.join(format!("{name}.key"));
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        // Keys that others can read are warned of.
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(certificates.join("revoked.pem"), revocation_list()).unwrap();
    directory
}

/// A list that names nobody.
fn revocation_list() -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
    let issuer = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let now = SystemTime::now();
    let list = rcgen::CertificateRevocationListParams {
        this_update: now.into(),
        next_update: (now + Duration::from_secs(3600)).into(),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).unwrap().pem().unwrap()
}

/// Checks a configuration with the binary: it must be accepted without a warning.
fn check(directory: &Path, text: &str, shown_at: &str) {
    let file = directory.join("shown.yaml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args(["check", "-c", "shown.yaml"])
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{shown_at}:\n{said}");
}

#[test]
fn every_configuration_shown_is_valid() {
    let directory = workplace();
    let mut shown = 0;
    // What the control API reads is not what the proxy reads.
    let of_control = root().join("docs/control");
    let of_proxy = |(path, _): &(PathBuf, String)| !path.starts_with(&of_control);
    for (path, text) in pages().into_iter().filter(of_proxy) {
        for (line, block) in blocks(&text, "yaml") {
            check(
                directory.path(),
                &block.join("\n"),
                &format!("{}:{line}", path.display()),
            );
            shown += 1;
        }
    }
    assert!(shown >= 5, "{shown} configurations are shown");
}

#[test]
fn every_mesh_shown_is_valid() {
    let mut shown = 0;
    for (path, text) in pages() {
        for (line, block) in blocks(&text, "yaml mesh") {
            let source = outrigger_config::Source {
                name: format!("{}:{line}", path.display()),
                text: block.join("\n"),
            };
            let environment = outrigger_config::Environment::empty();
            let mesh = outrigger_config::load_mesh(&[source], &environment);
            let faults = mesh.and_then(|mesh| mesh.validate(SystemTime::now())).err();
            assert!(faults.is_none(), "{}", faults.unwrap());
            shown += 1;
        }
    }
    assert!(shown >= 2, "{shown} meshes are shown");
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in pages() {
        let prose: Vec<&str> = text.split("```").step_by(2).collect();
        for link in prose
            .join("\n")
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(link, _)| link)
        {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let file = link.split_once('#').map_or(link, |(file, _)| file);
            assert!(
                path.parent().unwrap().join(file).exists(),
                "{}: {link}",
                path.display()
            );
        }
    }
}

#[test]
fn every_example_is_valid_and_explained() {
    let directory = workplace();
    let guide: String = pages().into_iter().map(|(_, text)| text).collect();
    for entry in std::fs::read_dir(root().join("config/examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            guide.contains(&format!("config/examples/{name}")),
            "no page names config/examples/{name}"
        );
        // A directory is a mesh, which the configuration's own tests load.
        if path.is_file() {
            check(directory.path(), &std::fs::read_to_string(&path).unwrap(), name);
        }
    }
}

/// The page on metrics says what the telemetry takes by default, the page on configuration what the configuration does.
#[test]
fn both_pages_tell_of_the_same_latency_buckets() {
    use outrigger_config::model::defaults::LATENCY_BUCKETS;
    use outrigger_telemetry::LatencyBuckets;
    assert_eq!(
        LatencyBuckets::new(&LATENCY_BUCKETS),
        Some(LatencyBuckets::default())
    );
}
