//! What each command asks, and how it shows what it is told.

mod audit;
mod explain;
mod health;
mod status;

use super::client::{Answer, Asked, Client, encode};
use super::{
    Apply, AuthorityCommand, ClientCommand, CommandError, Config, DONE, Diff, Get, History, REFUSED, Roll,
    Rollback, Rollout, TokenCommand, TokenCreate, show, sources,
};
use http::Method;
use serde_json::{Value, json};
use std::io::Write;

type Done = Result<u8, CommandError>;
type Out<'a> = &'a mut (dyn Write + Send);

/// Runs a command.
pub(super) async fn run(client: &Client, command: ClientCommand, out: Out<'_>, problems: Out<'_>) -> Done {
    match command {
        ClientCommand::Apply(to) => apply(client, to.own, out, problems).await,
        ClientCommand::Get(to) => get(client, to.own, out).await,
        ClientCommand::Diff(to) => diff(client, to.own, out, problems).await,
        ClientCommand::Rollback(to) => rollback(client, to.own, out, problems).await,
        ClientCommand::Rollout(to) => rollout(client, to.own, out).await,
        ClientCommand::History(to) => history(client, to.own, out).await,
        ClientCommand::Status(to) => status::show(client, to.own, out).await,
        ClientCommand::Health(to) => health::show(client, to.own, out).await,
        ClientCommand::Config(to) => config(client, to.own, out).await,
        ClientCommand::Explain(to) => explain::show(client, to.own, out).await,
        ClientCommand::Audit(to) => audit::show(client, to.own, out).await,
        ClientCommand::Token(TokenCommand::Create(to)) => token_create(client, to.own, out).await,
        ClientCommand::Token(TokenCommand::List(_)) => token_list(client, out).await,
        ClientCommand::Token(TokenCommand::Remove(to)) => {
            let path = format!("/v1/join-tokens/{}", encode(&to.own.name, false));
            client.call(Method::DELETE, &path, Asked::default()).await?;
            Ok(DONE)
        }
        ClientCommand::Authority(AuthorityCommand::Show(_)) => {
            let answer = client
                .call(Method::GET, "/v1/authority", Asked::default())
                .await?;
            show_authority(client, &answer, out)
        }
        ClientCommand::Authority(AuthorityCommand::Roll(to)) => roll(client, &to.own, out).await,
    }
}

/// Prints an answer as it came, if that is what was asked for.
fn is_raw(client: &Client, answer: &Answer, out: Out<'_>) -> Result<bool, CommandError> {
    if client.json {
        writeln!(out, "{}", answer.text.trim_end())?;
    }
    Ok(client.json)
}

fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Rows of these fields.
fn rows(items: &[Value], fields: &[&str]) -> Vec<Vec<String>> {
    let row = |item: &Value| fields.iter().map(|field| show::value(&item[*field])).collect();
    items.iter().map(row).collect()
}

async fn current(client: &Client) -> Result<u64, CommandError> {
    let status = client.call(Method::GET, "/v1/status", Asked::default()).await?;
    let revision = status.json["revision"].as_u64();
    revision.ok_or_else(|| {
        CommandError::Usage("the server's answer has no revision: is it an outrigger-control?".into())
    })
}

/// The revision that a change is for; none: of a trial that says none.
async fn base(client: &Client, given: Option<u64>, is_trial: bool) -> Result<Option<u64>, CommandError> {
    match given {
        Some(revision) => Ok(Some(revision)),
        None if is_trial => Ok(None),
        None => Ok(Some(current(client).await?)),
    }
}

async fn apply(client: &Client, apply: Apply, out: Out<'_>, problems: Out<'_>) -> Done {
    let body = json!({ "documents": sources::gather(&apply.files.files)? });
    let asked = Asked {
        query: &[
            ("keep", Some((!apply.files.prune).to_string())),
            ("dry_run", Some(apply.dry_run.to_string())),
            ("reason", apply.reason),
            ("stages", apply.staged.stages),
            ("pause", apply.staged.pause),
        ],
        if_match: base(client, apply.revision, apply.dry_run).await?,
        body: Some(&body),
    };
    let answer = client.call(Method::PUT, "/v1/mesh", asked).await?;
    changed(client, &answer, apply.dry_run, out, problems)
}

async fn rollback(client: &Client, rollback: Rollback, out: Out<'_>, problems: Out<'_>) -> Done {
    let asked = Asked {
        query: &[
            ("dry_run", Some(rollback.dry_run.to_string())),
            ("reason", rollback.reason),
            ("stages", rollback.staged.stages),
            ("pause", rollback.staged.pause),
        ],
        if_match: base(client, None, rollback.dry_run).await?,
        body: None,
    };
    let path = format!("/v1/revisions/{}/rollback", rollback.number);
    let answer = client.call(Method::POST, &path, asked).await?;
    changed(client, &answer, rollback.dry_run, out, problems)
}

async fn rollout(client: &Client, rollout: Rollout, out: Out<'_>) -> Done {
    let mut answer = client.call(Method::GET, "/v1/rollout", Asked::default()).await?;
    if let Some(command) = &rollout.command {
        let present = answer.json["revision"].as_u64().unwrap_or_default();
        let revision = rollout.revision.unwrap_or(present);
        let asked = Asked {
            query: &[("reason", rollout.reason)],
            ..Asked::default()
        };
        let path = format!("/v1/rollouts/{revision}/{command}");
        answer = client.call(Method::POST, &path, asked).await?;
    }
    let json = &answer.json;
    let is_well =
        rollout.command.is_some() || !matches!(json["state"].as_str(), Some("held" | "rolled_back"));
    let code = if is_well { DONE } else { REFUSED };
    if is_raw(client, &answer, &mut *out)? {
        return Ok(code);
    }
    let field = |name: &str| show::value(&json[name]);
    let (revision, stable) = (field("revision"), field("in_force"));
    writeln!(
        out,
        "revision {revision}: {}; {stable} is in force",
        field("state")
    )?;
    writeln!(
        out,
        "since {} by {}: {}",
        field("since"),
        field("by"),
        field("why")
    )?;
    for (at, stage) in items(json, "stages").iter().enumerate() {
        let is_present = json["stage"].as_u64() == Some(at as u64 + 1);
        writeln!(
            out,
            "{} {}",
            if is_present { '>' } else { ' ' },
            show::value(stage)
        )?;
    }
    writeln!(
        out,
        "nodes: {} have it, {} do not yet",
        field("settled"),
        field("waiting")
    )?;
    for refusal in items(json, "refusals") {
        let of = |name: &str| show::value(&refusal[name]);
        writeln!(
            out,
            "{} refused {} {}: {}",
            of("node"),
            of("type"),
            of("name"),
            of("reason")
        )?;
    }
    Ok(code)
}

fn changed(client: &Client, answer: &Answer, is_trial: bool, out: Out<'_>, problems: Out<'_>) -> Done {
    warn(answer, problems)?;
    if is_raw(client, answer, &mut *out)? {
        return Ok(DONE);
    }
    if is_trial {
        trial(&answer.json, out)?;
        return Ok(DONE);
    }
    let number = show::value(&answer.json["revision"]["number"]);
    match answer.json["changed"].as_bool() {
        Some(true) => {
            writeln!(out, "revision {number}")?;
            meanings(&answer.json, out)?;
        }
        _ => writeln!(out, "nothing to change: revision {number} is so already")?,
    }
    Ok(DONE)
}

fn warn(answer: &Answer, problems: Out<'_>) -> Result<(), CommandError> {
    let rendered = answer.json["rendered"].as_str().unwrap_or_default();
    write!(problems, "{}", show::lines(rendered))?;
    Ok(())
}

/// What a change would do.
fn trial(answer: &Value, out: Out<'_>) -> Result<(), CommandError> {
    differences(answer, &mut *out)?;
    meanings(answer, &mut *out)?;
    for view in items(answer, "views") {
        let count = |name: &str| view[name].as_u64().unwrap_or_default();
        let nodes = items(view, "connected").len();
        let role = show::value(&view["role"]);
        let (added, changed, removed) = (count("added"), count("changed"), count("removed"));
        writeln!(
            out,
            "{role} ({nodes} connected): {added} added, {changed} changed, {removed} removed"
        )?;
        for resource in items(view, "resources") {
            let sign = sign(&resource["change"]);
            writeln!(
                out,
                "  {sign} {} {}",
                show::value(&resource["type"]),
                show::value(&resource["name"])
            )?;
        }
    }
    if answer["allowed"] == json!(false) {
        writeln!(
            out,
            "you may not make this change: {}",
            show::value(&answer["denied"])
        )?;
    }
    Ok(())
}

fn sign(change: &Value) -> char {
    match change.as_str() {
        Some("added") => '+',
        Some("removed") => '-',
        _ => '~',
    }
}

fn meanings(answer: &Value, out: Out<'_>) -> Result<(), CommandError> {
    for change in items(answer, "changes") {
        let name = change["name"].as_str().filter(|name| !name.is_empty());
        let name = name
            .map(|name| format!(" {}", show::line(name)))
            .unwrap_or_default();
        let fields = items(change, "fields");
        let fields = if fields.is_empty() {
            String::new()
        } else {
            format!(": {}", show::value(&change["fields"]))
        };
        writeln!(
            out,
            "{} {}{name}{fields}",
            sign(&change["change"]),
            show::value(&change["what"])
        )?;
    }
    Ok(())
}

fn differences(answer: &Value, out: Out<'_>) -> Result<(), CommandError> {
    for document in items(answer, "documents") {
        write!(
            out,
            "{}",
            show::lines(document["diff"].as_str().unwrap_or_default())
        )?;
    }
    Ok(())
}

async fn diff(client: &Client, diff: Diff, out: Out<'_>, problems: Out<'_>) -> Done {
    let answer = match diff.from {
        None => {
            let body = json!({ "documents": sources::gather(&diff.files)? });
            let query = [
                ("keep", Some((!diff.prune).to_string())),
                ("dry_run", Some("true".to_owned())),
            ];
            let asked = Asked {
                query: &query,
                if_match: None,
                body: Some(&body),
            };
            let answer = client.call(Method::PUT, "/v1/mesh", asked).await?;
            warn(&answer, problems)?;
            answer
        }
        Some(from) => {
            let to = match diff.to {
                Some(to) => to,
                None => current(client).await?,
            };
            let path = format!("/v1/revisions/{from}/diff/{to}");
            client.call(Method::GET, &path, Asked::default()).await?
        }
    };
    if !is_raw(client, &answer, &mut *out)? {
        trial(&answer.json, out)?;
    }
    Ok(if items(&answer.json, "documents").is_empty() {
        DONE
    } else {
        REFUSED
    })
}

async fn get(client: &Client, get: Get, out: Out<'_>) -> Done {
    let query = [("revision", get.revision.map(|revision| revision.to_string()))];
    let asked = Asked {
        query: &query,
        ..Asked::default()
    };
    let Some(name) = get.name else {
        let answer = client.call(Method::GET, "/v1/documents", asked).await?;
        if !is_raw(client, &answer, &mut *out)? {
            let documents = rows(items(&answer.json, "documents"), &["name", "bytes"]);
            show::table(out, &["NAME", "BYTES"], &documents)?;
        }
        return Ok(DONE);
    };
    let path = format!("/v1/documents/{}", encode(&name, true));
    let answer = client.call(Method::GET, &path, asked).await?;
    // As it is, since it may go into a file.
    write!(out, "{}", answer.text)?;
    Ok(DONE)
}

async fn history(client: &Client, history: History, out: Out<'_>) -> Done {
    let query = [
        ("limit", Some(history.limit.to_string())),
        ("before", history.before.map(|before| before.to_string())),
    ];
    let asked = Asked {
        query: &query,
        ..Asked::default()
    };
    let answer = client.call(Method::GET, "/v1/revisions", asked).await?;
    if !is_raw(client, &answer, &mut *out)? {
        let fields = ["number", "time", "author", "source", "documents", "reason"];
        let heads = ["REVISION", "TIME", "AUTHOR", "SOURCE", "DOCUMENTS", "REASON"];
        show::table(out, &heads, &rows(items(&answer.json, "revisions"), &fields))?;
    }
    Ok(DONE)
}

async fn config(client: &Client, config: Config, out: Out<'_>) -> Done {
    let path = format!("/v1/nodes/{}/config", encode(&config.node, false));
    let query = [("service", config.service)];
    let asked = Asked {
        query: &query,
        ..Asked::default()
    };
    let answer = client.call(Method::GET, &path, asked).await?;
    write!(out, "{}", answer.text)?;
    Ok(DONE)
}

async fn token_create(client: &Client, create: TokenCreate, out: Out<'_>) -> Done {
    let body = json!({
        "name": create.name,
        "spiffe_id": create.spiffe_id,
        "spiffe_prefix": create.spiffe_prefix,
        "lifetime_seconds": create.lifetime,
        "reusable": create.reusable,
    });
    let asked = Asked {
        body: Some(&body),
        ..Asked::default()
    };
    let answer = client.call(Method::POST, "/v1/join-tokens", asked).await?;
    if !is_raw(client, &answer, &mut *out)? {
        // Alone on its line: it may go into a file.
        writeln!(out, "{}", show::value(&answer.json["token"]))?;
    }
    Ok(DONE)
}

async fn token_list(client: &Client, out: Out<'_>) -> Done {
    let answer = client
        .call(Method::GET, "/v1/join-tokens", Asked::default())
        .await?;
    if !is_raw(client, &answer, &mut *out)? {
        let tokens = rows(
            items(&answer.json, "tokens"),
            &["name", "allows", "expires", "expired", "reusable"],
        );
        show::table(out, &["NAME", "FOR", "EXPIRES", "EXPIRED", "REUSABLE"], &tokens)?;
    }
    Ok(DONE)
}

async fn roll(client: &Client, roll: &Roll, out: Out<'_>) -> Done {
    let body = json!({ "step": roll.step, "acknowledged": roll.acknowledged });
    let asked = Asked {
        body: Some(&body),
        ..Asked::default()
    };
    let answer = client.call(Method::POST, "/v1/authority/roll", asked).await?;
    show_authority(client, &answer, out)
}

fn show_authority(client: &Client, answer: &Answer, out: Out<'_>) -> Done {
    if !is_raw(client, answer, &mut *out)? {
        writeln!(out, "trust domain: {}", show::value(&answer.json["trust_domain"]))?;
        let fields = ["phase", "since", "not_after", "serial", "fingerprint"];
        let heads = ["PHASE", "SINCE", "HOLDS UNTIL", "SERIAL", "SHA-256"];
        show::table(&mut *out, &heads, &rows(items(&answer.json, "roots"), &fields))?;
        for belief in items(&answer.json, "roots").iter().map(|root| &root["belief"]) {
            if belief.is_null() {
                continue;
            }
            let text = |name: &str| show::value(&belief[name]);
            write!(out, "the new root: {} nodes believe it", text("believing"))?;
            match belief["doubting"] == 0 {
                true => writeln!(out)?,
                false => writeln!(
                    out,
                    ", {} are not known to: {}",
                    text("doubting"),
                    text("doubters")
                )?,
            }
        }
    }
    Ok(DONE)
}
