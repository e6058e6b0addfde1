//! That everybody does the same work: after the same requests the tables hold the same rows and the answers had the same
//! statuses; what one contender made is good at ours; and what is not good is refused by all.

use super::contender::{Contender, Crew, Seat};
use super::ground::Ground;
use super::people::{self, Person};
use super::work::Work;
use anyhow::{Context, Result, ensure};
use hyper::header::HeaderValue;
use shared::audit::{self, AuditDocument, AuditKey};
use std::collections::BTreeMap;
use testing::deployment::SECRET_PREFIX;

const SOME: u64 = 3;

/// What a row is compared without: what is made by lot, and when; and whether there is something at all where that is
/// in question.
const TABLES: [(&str, &str); 6] = [
    (
        "sessions",
        "to_jsonb(t) - '{id,refresh_key_sealed,refreshed_at,created_at,last_seen_at,idle_expires_at,absolute_expires_at,parent_id}'::text[]
         || jsonb_build_object('sealed', octet_length(refresh_key_sealed), 'child', parent_id IS NOT NULL,
            'idle', round(extract(epoch FROM idle_expires_at - refreshed_at)),
            'absolute', parent_id IS NOT NULL OR absolute_expires_at > now() + interval '1 day')",
    ),
    ("audit_logs", "to_jsonb(t) - '{id,created_at,link,request_id,details,resource_id}'::text[]"),
    ("audit_chains", "to_jsonb(t) - 'link'"),
    ("rate_limits", "jsonb_build_object('count', count)"),
    (
        "users",
        "jsonb_build_object('id', id, 'version', version, 'login', last_login_at IS NOT NULL, 'active', last_active_at IS NOT NULL)",
    ),
    ("idempotency_keys", "to_jsonb(t) - '{created_at,expires_at}'::text[]"),
];

type Rows = BTreeMap<&'static str, Vec<String>>;

/// What a contender answered, and left.
#[derive(PartialEq, Eq)]
struct Left {
    statuses: Vec<(Work, u16)>,
    refusals: Vec<(Work, u16)>,
    rows: Rows,
}

pub async fn check(ground: &Ground) -> Result<()> {
    let mut ours: Option<Left> = None;
    for contender in Contender::ALL {
        let (left, people) = at_work(ground, contender).await?;
        same_chains(ground).await.with_context(|| contender.name())?;
        good_at_ours(ground, people).await.with_context(|| format!("what {} made", contender.name()))?;
        let Some(ours) = &ours else {
            ours = Some(left);
            continue;
        };
        let name = contender.name();
        ensure!(ours.statuses == left.statuses, "{name} answers {:?}\n{:?}", left.statuses, ours.statuses);
        ensure!(
            ours.refusals == left.refusals,
            "{name} refuses with {:?}\n{:?}",
            left.refusals,
            ours.refusals
        );
        for (table, rows) in &ours.rows {
            ensure!(left.rows[table] == *rows, "{name} leaves in {table} {:#?}\n{rows:#?}", left.rows[table]);
        }
    }
    ground.empty().await
}

async fn at_work(ground: &Ground, contender: Contender) -> Result<(Left, Vec<Person>)> {
    let people = people::signed_in(ground, SOME).await?;
    let crew = Crew::start(ground, contender, &Work::ALL, 1).await?;
    let mut seats = crew.seats(&people).await?;
    let (mut statuses, mut refusals) = (Vec::new(), Vec::new());
    for work in Work::ALL {
        for seat in &mut seats {
            let answered = seat.ask(work).await.with_context(|| contender.name())?;
            statuses.push((work, answered.status.as_u16()));
        }
    }
    let rows = rows(ground).await?;
    // A server that verified nothing would be quick. What a refusal leaves is not compared.
    for work in Work::MEASURED {
        refusals.push((work, refused(&mut seats[0], work).await?));
    }
    crew.stop().await;
    let learned = seats.into_iter().map(|seat| seat.who).collect();
    Ok((Left { statuses, refusals, rows }, learned))
}

async fn refused(seat: &mut Seat, work: Work) -> Result<u16> {
    let mut forged = seat.who.clone();
    forged.access = people::forged(&forged.access)?;
    forged.refresh = people::forged(&forged.refresh)?;
    let mut request = work.request(&forged)?;
    if work == Work::Login {
        *request.body_mut() = people::wrong_password(&forged).into();
    }
    request.headers_mut().insert("x-forged", HeaderValue::from_static("yes"));
    let answered = seat.send(request).await?;
    ensure!(answered.status.is_client_error(), "{} with what is forged: {}", work.name(), answered.status);
    Ok(answered.status.as_u16())
}

/// The tokens a contender gave: ours takes them.
async fn good_at_ours(ground: &Ground, people: Vec<Person>) -> Result<()> {
    let works = [Work::Me, Work::Refresh];
    let crew = Crew::start(ground, Contender::Ours, &works, 1).await?;
    for seat in &mut crew.seats(&people).await? {
        for work in works {
            seat.ask(work).await?;
        }
    }
    crew.stop().await;
    Ok(())
}

/// Rows that each contender linked to its account's chain with an HMAC of its own making.
async fn same_chains(ground: &Ground) -> Result<()> {
    let document = ground.sandbox.secrets().get(&format!("{SECRET_PREFIX}/audit")).context("no audit key")?;
    let document: AuditDocument = serde_json::from_str(&document)?;
    let key = AuditKey::try_from(document).map_err(anyhow::Error::msg)?;
    let verified = audit::verify(&ground.admin, &key).await?;
    verified.map_err(|broken| anyhow::anyhow!("it writes another audit log: {broken}"))?;
    Ok(())
}

async fn rows(ground: &Ground) -> Result<Rows> {
    let mut rows = Rows::new();
    for (table, what) in TABLES {
        let sql = format!("SELECT ({what})::text AS row FROM {table} t ORDER BY 1");
        let found = ground.admin.query_typed(&sql, &[]).await?;
        rows.insert(table, found.iter().map(|row| row.get("row")).collect());
    }
    Ok(rows)
}
