//! What is said of files that are wrong.

use super::{Authority, downstream, material, upstream};
use crate::{IdentityError, IdentityWarning, Material, Place, files_of};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

fn authority() -> Authority {
    let authority = Authority::new("root");
    authority.issue("server", &["server.example"]);
    authority.issue("other", &["other.example"]);
    authority
}

#[test]
fn every_fault_names_its_file_and_what_would_be_right() {
    type Break = fn(&Authority);
    let table: [(Break, &str, &str); 9] = [
        (
            |a| fs::remove_file(a.path("server.pem")).unwrap(),
            "server.pem",
            "No such file",
        ),
        (
            |a| fs::remove_file(a.path("server.key")).unwrap(),
            "server.key",
            "No such file",
        ),
        (
            |a| a.write("server.pem", "hello"),
            "server.pem",
            "holds no certificate; expected PEM blocks",
        ),
        (
            |a| a.write("server.key", "hello"),
            "server.key",
            "holds no private key; expected one PEM block",
        ),
        (
            |a| a.write("server.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
            "server.pem",
            "a BEGIN line has no END line",
        ),
        (
            |a| {
                a.write(
                    "server.pem",
                    "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
                )
            },
            "certificate 1 in",
            "cannot be used",
        ),
        (
            |a| {
                a.write(
                    "server.key",
                    "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n",
                )
            },
            "server.key",
            "cannot be used; expected RSA",
        ),
        (
            |a| {
                a.write(
                    "server.key",
                    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
                )
            },
            "server.key",
            "is encrypted; expected one without a passphrase",
        ),
        (
            |a| fs::rename(a.path("other.key"), a.path("server.key")).unwrap(),
            "server.key",
            "does not fit the first certificate in",
        ),
    ];
    for (break_it, file, problem) in table {
        let authority = authority();
        let tls = authority.downstream(&["server"], "");
        downstream(&tls).expect("it was right before");
        break_it(&authority);
        let message = downstream(&tls).unwrap_err();
        assert!(message.contains(file) && message.contains(problem), "{message}");
    }
}

#[test]
fn a_key_that_does_not_fit_names_both_files() {
    let authority = authority();
    fs::copy(authority.path("other.key"), authority.path("server.key")).unwrap();
    let loaded = Material::load(&authority.downstream(&["other", "server"], ""), None);
    let [fault] = loaded.faults.as_slice() else {
        panic!("{:?}", loaded.faults);
    };
    assert!(fault.to_string().starts_with("outrigger.yaml:5:"), "{fault}");
    match &*fault.error {
        IdentityError::KeyMismatch {
            certificate,
            private_key,
        } => {
            assert_eq!(*certificate, Place::File(authority.path("server.pem")));
            assert_eq!(*private_key, Place::File(authority.path("server.key")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn roots_must_be_there() {
    let authority = authority();
    let tls = authority.upstream("server.example", None);
    upstream(&tls, &[]).expect("it was right before");
    authority.write("ca.pem", "# none yet\n");
    let message = upstream(&tls, &[]).unwrap_err();
    assert!(message.contains("ca.pem holds no root certificate"), "{message}");
    let require = format!(", client: {{ca_file: {}}}", authority.path("ca.pem").display());
    let message = downstream(&authority.downstream(&["server"], &require)).unwrap_err();
    assert!(message.contains("ca.pem holds no root certificate"), "{message}");
}

#[test]
fn no_private_key_shows_in_debug_or_errors() {
    let authority = authority();
    let pem = fs::read_to_string(authority.path("server.key")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    let config = downstream(&authority.downstream(&["server"], "")).unwrap();
    let identity = upstream(&authority.upstream("server.example", Some("server")), &[]).unwrap();
    let loaded = Material::load(&authority.downstream(&["server"], ""), None);
    let shown = format!("{config:?} {identity:?} {loaded:?}");
    assert!(!shown.contains(secret));
    for broken in [
        pem.replace("-----END", "!!!!-END"),
        pem.replace(secret, &format!("{secret}*")),
    ] {
        authority.write("server.key", &broken);
        let loaded = Material::load(&authority.downstream(&["server"], ""), None);
        let fault = &loaded.faults[0];
        let shown = format!("{fault} {fault:?} {:?}", loaded.material);
        assert!(!shown.contains(&secret[..16]), "{shown}");
    }
}

#[test]
fn dates_and_permissions_are_warnings() {
    let authority = Authority::new("root");
    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    authority.issue_with("old", &["a.example"], |params| {
        params.not_before = (now - 30 * day).into();
        params.not_after = (now - 10 * day).into();
    });
    authority.issue_with("new", &["b.example"], |params| {
        params.not_before = (now + 10 * day).into()
    });
    for (key, mode) in [("old.key", 0o640), ("new.key", 0o600)] {
        fs::set_permissions(authority.path(key), fs::Permissions::from_mode(mode)).unwrap();
    }
    let tls = authority.downstream(&["old", "new"], "");
    downstream(&tls).expect("dates do not stop a start");

    let loaded = material(&tls).unwrap();
    let warnings = loaded.warnings(None, now);
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    let said = |end: &str| shown.iter().any(|warning| warning.ends_with(end));
    assert!(
        said("old.pem expired 10 days ago") || said("expired 9 days ago"),
        "{shown:?}"
    );
    let open = IdentityWarning::KeyOpenToOthers {
        file: authority.path("old.key"),
        mode: 0o640,
    };
    assert!(warnings.contains(&open));
    assert!(
        shown
            .iter()
            .any(|warning| warning.contains("new.pem is valid in ")),
        "{shown:?}"
    );
    let again = Material::load(&tls, Some(&loaded)).material;
    assert_eq!(again.warnings(Some(&loaded), now), [], "what was said once");

    let upstream_tls = material(&authority.upstream("a.example", Some("new"))).unwrap();
    let later = upstream_tls.warnings(None, now + 20 * day);
    assert_eq!(later, [], "a certificate whose time has come");
}

#[test]
fn a_key_that_everybody_may_replace_is_refused() {
    let authority = authority();
    let key = authority.path("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o602)).unwrap();
    let message = downstream(&authority.downstream(&["server"], "")).unwrap_err();
    assert!(
        message.contains("server.key has mode 602: everybody may replace it"),
        "{message}"
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    downstream(&authority.downstream(&["server"], "")).expect("as Kubernetes mounts secrets");
}

#[test]
fn the_files_to_watch_are_those_that_are_read() {
    let authority = authority();
    let require = format!(", client: {{ca_file: {}}}", authority.path("ca.pem").display());
    let files = files_of(&authority.downstream(&["server", "other"], &require));
    let mut expected = ["server.pem", "server.key", "other.pem", "other.key", "ca.pem"];
    expected.sort_unstable();
    assert!(files.iter().eq(&expected.map(|file| authority.path(file))));
    let upstream_files = files_of(&authority.upstream("a", Some("server")));
    let expected = ["ca.pem", "server.key", "server.pem"];
    assert!(
        upstream_files
            .iter()
            .eq(&expected.map(|file| authority.path(file)))
    );
}

#[test]
fn what_will_expire_soon_is_foreseen() {
    let authority = Authority::new("root");
    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    for (name, before, after) in [
        ("short", 8, 1),
        ("fresh", 1, 8),
        ("long", 3_000, 40),
        ("ending", 3_000, 20),
    ] {
        authority.issue_with(name, &["a.example"], |params| {
            params.not_before = (now - before * day).into();
            params.not_after = (now + after * day).into();
        });
    }
    let loaded = material(&authority.downstream(&["short", "fresh", "long", "ending"], "")).unwrap();
    let soon = |now| -> Vec<String> {
        let outlook = loaded.outlook(now);
        let of = |warning: &IdentityWarning| match warning {
            IdentityWarning::ExpiresSoon { place, .. } => Some(place.rsplit('/').next().unwrap().to_owned()),
            _ => None,
        };
        outlook.iter().filter_map(of).collect()
    };
    assert_eq!(soon(now), ["ending.pem", "short.pem"]);
    assert_eq!(
        soon(now + 7 * day),
        ["ending.pem", "fresh.pem"],
        "what has expired is not about to"
    );
    assert_eq!(soon(now + 11 * day), ["ending.pem", "long.pem"]);
}
