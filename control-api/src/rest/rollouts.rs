//! Rollouts: how far one is, and what a person tells it.

use super::call::Call;
use super::fault::Fault;
use super::scope::scope;
use super::{Answered, Shared, uncut};
use crate::access::Action;
use crate::rollout::{
    self, Command, CommandError, Kept, NodeRefused, Observation, Pause, Rollout, SETTLE_TIMEOUT, Terms,
};
use crate::settings::RELEASE_PAUSE;
use axum::Json;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /v1/rollout`
pub(super) async fn show(shared: Arc<Shared>, _: Call) -> Answered {
    let kept = Kept::read(&*shared.parts.store).await?;
    let none = || Fault::not_found("no revision was released yet", "the first change is");
    let rollout = kept.ok_or_else(none)?.rollout;
    answer(&shared, &rollout).await
}

/// `POST /v1/rollouts/{number}/{command}`
pub(super) async fn tell(shared: Arc<Shared>, call: Call) -> Answered {
    let wrong = |fault: String| Fault::bad_request("there is no such command", fault);
    let command: Command = call.parameter("command").parse().map_err(wrong)?;
    let revision = call.number("number")?;
    let expected = "the parameter `reason` or the header `x-reason`: the audit log says why";
    let why = call
        .reason()
        .ok_or_else(|| Fault::bad_request(format!("to {command} a rollout needs a reason"), expected))?
        .to_owned();
    let parts = shared.parts.clone();
    if let Some(kept) = Kept::read(&*parts.store)
        .await?
        .filter(|kept| kept.rollout.revision == revision)
    {
        let tried = kept.rollout.obey(command, "", "", call.now.into());
        tried.map_err(|disobeyed| Fault::from(CommandError::from(disobeyed)))?;
        may_release(&shared, &call, &kept.rollout).await?;
    }
    let (who, now) = (call.who(), call.now.into());
    let telling = async move {
        let nodes = (&*parts.fleet, parts.replica.as_deref());
        rollout::command(&*parts.store, nodes, revision, command, (&who, &why), now).await
    };
    let rollout = uncut(telling).await??;
    answer(&shared, &rollout).await
}

/// Who may change all that is different may release it, too.
async fn may_release(shared: &Shared, call: &Call, rollout: &Rollout) -> Result<(), Fault> {
    let store = &shared.parts.store;
    let (stable, revision) = (
        store.revision(rollout.stable).await?,
        store.revision(rollout.revision).await?,
    );
    let differing = stable.documents.changes(&revision.documents);
    let changes = match (
        shared.mesh_of(rollout.stable).await?,
        shared.mesh_of(rollout.revision).await?,
    ) {
        (Some(stable), Some(revision)) => Some(stable.mesh().changes(revision.mesh())),
        _ => None,
    };
    let touched = scope(changes.as_deref(), &differing);
    let may = shared.parts.access.may(call.caller(), &Action::Release(&touched));
    may.map_err(|denied| Fault::denied(&denied))
}

async fn answer(shared: &Shared, rollout: &Rollout) -> Answered {
    let parts = &shared.parts;
    let seen = match rollout.state.is_final() {
        true => Observation::default(),
        false => rollout::survey(&*parts.store, &parts.fleet, parts.replica.as_deref(), rollout).await?,
    };
    Ok(Json(described(rollout, &seen)).into_response())
}

fn described(rollout: &Rollout, seen: &Observation) -> Value {
    let Rollout {
        revision,
        stable,
        terms,
        stage,
        state,
        since,
        by,
        why,
        refusals,
    } = rollout;
    let refusals = if state.is_final() {
        refusals
    } else {
        &seen.refusals
    };
    json!({
        "revision": revision,
        "stable": stable,
        "in_force": rollout.in_force(),
        "state": state.word(),
        "stage": stage + 1,
        "stages": terms.stages().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "settle_timeout_seconds": terms.settle_timeout().as_secs_f64(),
        "since": since.to_string(),
        "by": by,
        "why": why,
        "settled": seen.settled.count,
        "settled_nodes": seen.settled.names,
        "waiting": seen.waiting.count,
        "waiting_nodes": seen.waiting.names,
        "refusals": refusals.iter().map(refusal).collect::<Vec<_>>(),
    })
}

fn refusal(refusal: &NodeRefused) -> Value {
    let NodeRefused {
        node,
        resource_type,
        name,
        reason,
    } = refusal;
    json!({ "node": node, "type": resource_type, "name": name, "reason": reason })
}

/// How a change says that it is to be released: the parameters `stages` and `pause`; none: as the settings say.
pub(super) fn terms(call: &Call) -> Result<Option<Terms>, Fault> {
    let Some(stages) = call.text("stages") else {
        return match call.text("pause") {
            Some(_) => Err(Fault::bad_request(
                "`pause` without `stages`",
                "both, or `stages` alone",
            )),
            None => Ok(None),
        };
    };
    let wrong = |name: &str, fault: String| {
        Fault::bad_request(
            format!("`{name}`: {}", crate::access::printable(&fault)),
            "stages as `5%,50%,100%`, a pause as `30s` or `by hand`",
        )
    };
    let pause = match call.text("pause") {
        Some(pause) => pause.parse().map_err(|fault| wrong("pause", fault))?,
        None => Pause::For(RELEASE_PAUSE),
    };
    let terms = Terms::read(stages.split(','), pause, SETTLE_TIMEOUT);
    terms.map(Some).map_err(|fault| wrong("stages", fault))
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Fault {
        match error {
            CommandError::None { .. } => {
                Fault::not_found(error.to_string(), "`GET /v1/rollout` tells how far one is")
            }
            CommandError::Disobeyed(_) => Fault::conflict(error.to_string(), None),
            CommandError::Store(error) => error.into(),
        }
    }
}
