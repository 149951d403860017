//! What happened to a connection whose bytes are passed on.

use super::cause::{bracketed, denied};
use super::scene::Scene;
use super::sentences::{configuration, whence};
use super::words::{self, flags, quoted, spaced, time};
use outrigger_config::Timestamp;
use outrigger_telemetry::ResponseFlags;

/// Everything that is known of it, in order.
pub(super) fn sentences(scene: &Scene<'_>) -> Vec<String> {
    let told = scene.told;
    let name = match told.authority.as_str() {
        "" => String::new(),
        name => format!(" for {}", quoted(name)),
    };
    let mut said = vec![
        format!(
            "A connection{name} came at {}{}.",
            Timestamp(told.started),
            whence(scene)
        ),
        configuration(scene),
    ];
    if let Some(endpoint) = told.told_attempts.last().and_then(|attempt| attempt.endpoint) {
        said.push(format!(
            "{} attempts were made to connect; the last went to {endpoint} of {}.",
            told.attempts,
            scene.cluster_named()
        ));
    }
    let mut end = format!("It was over after {}", time(told.duration));
    if !told.details.is_empty() {
        end.push_str(&format!(", details {}", quoted(&told.details)));
    }
    if let Some(flags) = flags(told.flags) {
        end.push_str(&format!(", flags {flags}"));
    }
    said.push(format!(
        "{end}. {} bytes came, {} bytes were sent.",
        told.bytes_received, told.bytes_sent
    ));
    said
}

/// Why it ended as it did.
pub(super) fn cause(scene: &Scene<'_>) -> String {
    let told = scene.told;
    let has = |flag: ResponseFlags| told.flags.contains(flag);
    let named = bracketed(&told.details).unwrap_or_default();
    let said = if told.details.starts_with("rbac_") {
        denied(scene, named)
    } else if has(ResponseFlags::RL) || has(ResponseFlags::RLSE) {
        let what = match has(ResponseFlags::RL) {
            true => "was used up",
            false => "could not be asked",
        };
        match named {
            "" => format!("a rate limit of {} {what}", scene.chain_named()),
            name => format!("{} {what}", scene.rate_limit_named(name)),
        }
    } else if has(ResponseFlags::DC) {
        "the client reset the connection, or went away while it was connected".to_owned()
    } else if has(ResponseFlags::SI) {
        format!(
            "nothing moved for longer than {} allows (`idle_timeout`)",
            scene.chain_named()
        )
    } else if has(ResponseFlags::DT) {
        format!(
            "it reached the greatest age that {} allows (`connection_duration_max`)",
            scene.chain_named()
        )
    } else if !told.flags.is_empty() {
        let endpoint = told.told_attempts.last().and_then(|attempt| attempt.endpoint);
        let whose = match endpoint {
            Some(endpoint) => format!("endpoint {endpoint} of {}", scene.cluster_named()),
            None => scene.cluster_named(),
        };
        format!("{whose}: {}", words::failure(&told.details))
    } else if told.details.is_empty() {
        "both sides ended it in order".to_owned()
    } else {
        format!("this proxy ended it: {}", spaced(&told.details))
    };
    said + "."
}
