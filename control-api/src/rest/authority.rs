//! The authority: join tokens, and its root's rollover.

use super::call::Call;
use super::fault::Fault;
use super::{Answered, Shared, uncut};
use crate::authority::{Authority, AuthorityError, Evidence, Phase, RolloverRefusal, RootReport, Step};
use crate::fleet::{Belief, RETURN_WITHIN};
use axum::Json;
use axum::response::IntoResponse;
use http::StatusCode;
use outrigger_config::Timestamp;
use outrigger_config::model::{SpiffeId, SpiffeMatch};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that a join token holds: a year.
const LIFETIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// A token's name at most, in bytes: it is the id of a record.
const NAME_BYTES_MAX: usize = 128;

impl Shared {
    fn authority(&self) -> Result<&Arc<Authority>, Fault> {
        let missing = || {
            Fault::not_found(
                "this server has no certificate authority",
                "its settings may enable one",
            )
        };
        self.parts.authority.as_ref().ok_or_else(missing)
    }
}

/// `GET /v1/authority`
pub(super) async fn show(shared: Arc<Shared>, _: Call) -> Answered {
    Ok(Json(described(&shared, shared.authority()?)).into_response())
}

fn described(shared: &Shared, authority: &Authority) -> Value {
    let waits = authority.waits();
    json!({
        "trust_domain": authority.trust_domain().as_str(),
        "roots": authority.roots().iter().map(|one| root(shared, one)).collect::<Vec<_>>(),
        "bundle": authority.bundle().pem(),
        "distribution_seconds": waits.distribution.as_secs(),
        "retirement_seconds": waits.retirement.as_secs(),
    })
}

fn root(shared: &Shared, root: &RootReport) -> Value {
    // Whether the others are believed nothing depends on.
    let belief = (root.phase == Phase::Distributed).then(|| {
        let belief = shared.parts.fleet.belief(&root.facts.fingerprint, Instant::now());
        json!({
            "believing": belief.believing,
            "doubting": belief.doubting,
            "doubters": belief.doubters,
        })
    });
    let phase = match root.phase {
        Phase::Prepared => "prepared",
        Phase::Distributed => "distributed",
        Phase::Signing => "signing",
        Phase::Superseded => "superseded",
    };
    json!({
        "phase": phase,
        "since": Timestamp(root.since).to_string(),
        "subject": root.facts.subject,
        "serial": root.facts.serial,
        "fingerprint": root.facts.fingerprint,
        "not_after": Timestamp(root.facts.validity.not_after).to_string(),
        "belief": belief,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollRequest {
    step: Step,
    #[serde(default)]
    acknowledged: bool,
}

/// `POST /v1/authority/roll`
pub(super) async fn roll(shared: Arc<Shared>, call: Call) -> Answered {
    let authority = Arc::clone(shared.authority()?);
    let RollRequest { step, acknowledged } = call.body_json()?;
    let place = Arc::clone(&shared.rolling).lock_owned().await;
    let missing = (step == Step::Sign)
        .then(|| what_is_missing(&shared, &authority))
        .flatten();
    let evidence = match (acknowledged, step, &missing) {
        (true, ..) => Evidence::Acknowledged,
        (false, Step::Sign, None) => Evidence::Nodes,
        _ => Evidence::Time,
    };
    let (who, now) = (call.who(), call.now);
    let rolling = async move {
        let _place = place;
        authority.roll(step, evidence, None, (&who, now)).await
    };
    match (uncut(rolling).await?, missing) {
        (Ok(_), _) => show(shared, call).await,
        (Err(error @ AuthorityError::Rollover(RolloverRefusal::TooEarly { .. })), Some(missing)) => {
            Err(Fault::conflict(error.to_string(), Some(missing)))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Why nodes' own word is no evidence that the new root is believed; none: it is.
fn what_is_missing(shared: &Shared, authority: &Authority) -> Option<String> {
    let roots = authority.roots();
    let new = roots.iter().find(|root| root.phase == Phase::Distributed)?;
    if shared.parts.replica.is_some() {
        return Some("servers share this store, and each knows what its own nodes believe alone".to_owned());
    }
    let belief = shared.parts.fleet.belief(&new.facts.fingerprint, Instant::now());
    if belief.is_evidence() {
        return None;
    }
    let Belief {
        believing,
        doubting,
        doubters,
        is_complete,
    } = belief;
    Some(if doubting > 0 {
        let names = doubters.join(", ");
        format!("{believing} nodes believe the new root, and {doubting} are not known to yet: {names}")
    } else if is_complete {
        "no node is there to say that it believes the new root".to_owned()
    } else {
        let seconds = RETURN_WITHIN.as_secs();
        format!("this server has just started: nodes have {seconds} s to come back and say what they believe")
    })
}

/// `GET /v1/join-tokens`
pub(super) async fn list_tokens(shared: Arc<Shared>, call: Call) -> Answered {
    let tokens = shared.authority()?.join_tokens().await?;
    let token = |token: &crate::authority::JoinToken| {
        json!({
            "name": token.name,
            "allows": allows(&token.allows),
            "expires": token.expires.map(|expires| Timestamp(expires).to_string()),
            "expired": token.is_expired(call.now),
            "reusable": token.reusable,
        })
    };
    Ok(Json(json!({ "tokens": tokens.iter().map(token).collect::<Vec<_>>() })).into_response())
}

fn allows(allows: &SpiffeMatch) -> String {
    match allows {
        SpiffeMatch::Exact(id) => id.to_string(),
        SpiffeMatch::Prefix(id) => format!("{id}/*"),
        SpiffeMatch::TrustDomain(domain) => format!("spiffe://{domain}/*"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinTokenRequest {
    name: String,
    spiffe_id: Option<String>,
    spiffe_prefix: Option<String>,
    lifetime_seconds: u64,
    #[serde(default)]
    reusable: bool,
}

impl JoinTokenRequest {
    fn allows(&self) -> Result<SpiffeMatch, Fault> {
        let id = |field: &str, text: &str| -> Result<SpiffeId, Fault> {
            let shown = crate::access::printable(text);
            text.parse().map_err(|fault| {
                Fault::bad_request(
                    format!("`{field}` is `{shown}`: {fault}"),
                    "`spiffe://DOMAIN/PATH`",
                )
            })
        };
        match (&self.spiffe_id, &self.spiffe_prefix) {
            (Some(text), None) => Ok(SpiffeMatch::Exact(id("spiffe_id", text)?)),
            (None, Some(text)) => Ok(SpiffeMatch::Prefix(id("spiffe_prefix", text)?)),
            _ => {
                let error = "a token is for one identity, or for those below a prefix";
                Err(Fault::bad_request(
                    error,
                    "`spiffe_id` or `spiffe_prefix`, one of the two",
                ))
            }
        }
    }

    fn check(&self) -> Result<Duration, Fault> {
        let is_name = (1..=NAME_BYTES_MAX).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !is_name {
            let expected = format!("1 to {NAME_BYTES_MAX} ASCII letters, digits and `._-`");
            return Err(Fault::bad_request("`name` cannot be a join token's", expected));
        }
        let lifetime = Duration::from_secs(self.lifetime_seconds);
        match lifetime.is_zero() || lifetime > LIFETIME_MAX {
            true => {
                let expected = format!("1 to {}", LIFETIME_MAX.as_secs());
                Err(Fault::bad_request(
                    format!("`lifetime_seconds` is {}", self.lifetime_seconds),
                    expected,
                ))
            }
            false => Ok(lifetime),
        }
    }
}

/// `POST /v1/join-tokens`
pub(super) async fn make_token(shared: Arc<Shared>, call: Call) -> Answered {
    let authority = Arc::clone(shared.authority()?);
    let wanted: JoinTokenRequest = call.body_json()?;
    let (lifetime, allows) = (wanted.check()?, wanted.allows()?);
    let who = call.who();
    let (name, reusable, now) = (wanted.name.clone(), wanted.reusable, call.now);
    let making = async move {
        authority
            .make_join_token(&name, allows, lifetime, reusable, (&who, now))
            .await
    };
    let secret = uncut(making).await??;
    let expires = Timestamp(now + lifetime).to_string();
    let body = json!({ "name": wanted.name, "token": secret.expose(), "expires": expires });
    // A secret: nobody on the way keeps it.
    Ok((
        StatusCode::CREATED,
        [(http::header::CACHE_CONTROL, "no-store")],
        Json(body),
    )
        .into_response())
}

/// `DELETE /v1/join-tokens/{name}`
pub(super) async fn remove_token(shared: Arc<Shared>, call: Call) -> Answered {
    let name = call.parameter("name");
    let authority = Arc::clone(shared.authority()?);
    let (who, now, removed) = (call.who(), call.now, name.to_owned());
    let removing = async move { authority.remove_join_token(&removed, &who, now).await };
    match uncut(removing).await?? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => {
            let error = format!(
                "there is no join token `{}` that was made here",
                crate::access::printable(name)
            );
            Err(Fault::not_found(
                error,
                "`GET /v1/join-tokens` lists all; those of the settings end there",
            ))
        }
    }
}
