//! The audit log.

use super::{Done, Out, is_raw, items};
use crate::cli::client::{Asked, Client};
use crate::cli::{Audit, CommandError, DONE, REFUSED, show};
use crate::store::Moment;
use http::Method;
use serde_json::{Value, json};

pub(super) async fn show(client: &Client, audit: Audit, out: Out<'_>) -> Done {
    if audit.verify {
        return verify(client, audit.kept.as_deref(), out).await;
    }
    let query = [
        ("limit", Some(audit.limit.to_string())),
        ("last", Some("true".to_owned())),
    ];
    let asked = Asked {
        query: &query,
        ..Asked::default()
    };
    let answer = client.call(Method::GET, "/v1/audit", asked).await?;
    if is_raw(client, &answer, &mut *out)? {
        return Ok(DONE);
    }
    let row = |entry: &Value| {
        let time = entry["time"]
            .as_u64()
            .map_or("-".to_owned(), |time| Moment(time).to_string());
        let revisions = match (entry["before"].as_u64(), entry["after"].as_u64()) {
            (Some(before), Some(after)) => format!("{before} to {after}"),
            _ => "-".to_owned(),
        };
        let text = |name: &str| show::value(&entry[name]);
        vec![
            text("sequence"),
            time,
            text("who"),
            text("what"),
            text("subject"),
            revisions,
            text("why"),
        ]
    };
    let entries: Vec<Vec<String>> = items(&answer.json, "entries").iter().map(row).collect();
    show::table(
        out,
        &["ENTRY", "TIME", "WHO", "WHAT", "SUBJECT", "REVISION", "WHY"],
        &entries,
    )?;
    Ok(DONE)
}

async fn verify(client: &Client, kept: Option<&str>, out: Out<'_>) -> Done {
    let (count, hash) = match kept.map(|kept| kept.split_once(':')) {
        None => (None, None),
        Some(Some((count, hash))) => (Some(count.to_owned()), Some(hash.to_owned())),
        Some(None) => {
            return Err(CommandError::Usage(
                "--kept: expected COUNT:HASH, as an earlier `audit --verify` printed it".into(),
            ));
        }
    };
    let query = [("count", count), ("hash", hash)];
    let asked = Asked {
        query: &query,
        ..Asked::default()
    };
    let answer = client.call(Method::GET, "/v1/audit/verify", asked).await?;
    let is_intact = answer.json["intact"] == json!(true);
    if !is_raw(client, &answer, &mut *out)? {
        match is_intact {
            true => {
                let (head, revisions) = (&answer.json["head"], show::value(&answer.json["revisions"]));
                let (count, hash) = (show::value(&head["count"]), show::value(&head["hash"]));
                writeln!(
                    out,
                    "the log is as it was written: {count} entries, {revisions} revisions compared"
                )?;
                writeln!(out, "keep this, and verify against it: {count}:{hash}")?;
            }
            false => writeln!(
                out,
                "the log is NOT as it was written: {}",
                show::value(&answer.json["reason"])
            )?,
        }
    }
    Ok(if is_intact { DONE } else { REFUSED })
}
