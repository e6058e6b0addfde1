//! What the audit log and `reseal_progress` are told of a rotation.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use shared::audit::{self, AuditKey, Entry, Origin};
use shared::db;
use shared::reseal::{self, Move, Progress};
use time::OffsetDateTime;

use super::walk::Walker;

/// Writes down that these moves begin, each once.
pub async fn beginning(walker: &mut Walker, key: &AuditKey, moves: &[Move]) -> Result<()> {
    let now = walker.clock.now();
    let transaction = walker.client.transaction().await?;
    for (key_id, steps) in by_key(moves) {
        let mut begun = false;
        for step in &steps {
            begun |= reseal::begin(&transaction, *step, now).await?;
        }
        if begun {
            let entry = entry("rotation.started", &key_id, json!({ "purposes": names(&steps) }), now);
            audit::append(&transaction, key, &entry, &walker.random).await?;
        }
    }
    Ok(db::commit(transaction).await?)
}

/// Writes down that they have ended, and which keys left the secret.
pub async fn end(walker: &mut Walker, key: &AuditKey, moves: &[Move], retired: &[u32]) -> Result<()> {
    let now = walker.clock.now();
    let transaction = walker.client.transaction().await?;
    let known = reseal::progress(&transaction).await?;
    for (key_id, steps) in by_key(moves) {
        for step in &steps {
            reseal::finish(&transaction, *step, now).await?;
        }
        let resealed: i64 = of(&known, &steps).map(|row| row.resealed).sum();
        let details = json!({ "purposes": names(&steps), "resealed": resealed, "retired": retired });
        let entry = entry("rotation.finished", &key_id, details, now);
        audit::append(&transaction, key, &entry, &walker.random).await?;
    }
    Ok(db::commit(transaction).await?)
}

/// The rows that tell of these moves.
pub fn of<'a>(known: &'a [Progress], moves: &'a [Move]) -> impl Iterator<Item = &'a Progress> {
    let ours =
        |row: &&Progress| moves.iter().any(|step| (row.purpose, row.key_id) == (step.purpose, step.key_id));
    known.iter().filter(ours)
}

pub fn purposes(moves: &[Move]) -> String {
    names(moves).join(", ")
}

/// Which purposes go to which keys.
pub fn list(moves: &[Move]) -> String {
    let of_key = |(id, steps): (String, Vec<Move>)| format!("{} to key {id}", purposes(&steps));
    by_key(moves).into_iter().map(of_key).collect::<Vec<_>>().join(" and ")
}

fn entry<'a>(action: &'static str, key_id: &'a str, details: Value, now: OffsetDateTime) -> Entry<'a> {
    let origin = Origin { ip: None, request_id: "satchel keys rotate" };
    Entry { user_id: None, action, resource: ("sealing_key", key_id), details, origin, now }
}

fn by_key(moves: &[Move]) -> BTreeMap<String, Vec<Move>> {
    let mut groups: BTreeMap<String, Vec<Move>> = BTreeMap::new();
    for step in moves {
        groups.entry(step.key_id.to_string()).or_default().push(*step);
    }
    groups
}

fn names(moves: &[Move]) -> Vec<&'static str> {
    moves.iter().map(|step| step.purpose.name()).collect()
}
