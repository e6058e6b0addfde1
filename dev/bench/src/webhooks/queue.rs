//! What waits and what is looked up, beside many events that are finished: the very calls of the job and of the
//! operator's tool.

use super::curve::Point;
use super::fill::{DEAD, DUE};
use crate::figures::ms;
use crate::setup::recording::{Mark, while_at_work};
use anyhow::{Context, Result, ensure};
use shared::clock::Clock;
use shared::crypto::KeyRing;
use shared::db::roles::Role;
use shared::webhook::desk::{self, Filter, State};
use shared::webhook::queue;
use std::time::Instant;
use testing::postgres::Server;
use time::Duration;
use tokio_postgres::Client;
use uuid::Uuid;

const LISTED: i64 = 50;
/// A type that no event in the inbox has.
const UNHEARD_OF: &str = "charge.dispute.created";

const GIVEN_UP_AFTER: std::time::Duration = std::time::Duration::from_secs(7);
/// Milliseconds: what takes longer is asked twice and no more.
const TOO_LONG: f64 = 200.0;

/// What is asked, in the order in which it is.
pub const QUESTIONS: [&str; 10] = [
    "count what is due, see the oldest, count the dead",
    "take one up",
    "list the newest 50",
    "list the newest 50 of one type",
    "list one day of a type that none has",
    "list all of a type that none has",
    "list the dead",
    "the events about an object",
    "an event by the provider's id",
    "an event's body by our id",
];

/// Milliseconds of each question, each time it was asked.
pub type Asked = Vec<Vec<f64>>;

/// Somebody at the desk of one inbox.
pub struct Desk {
    client: Client,
    ring: KeyRing,
    id: Uuid,
    event_id: String,
    object_id: String,
}

impl Desk {
    pub async fn open(point: &Point) -> Result<Self> {
        let client = point.ground.db.connect(Role::Jobs).await?;
        let middle = desk::first_id(Clock::system().now() - Duration::days(45));
        let sql = "SELECT id, event_id, object_id FROM webhook_events
                   WHERE id >= $1 AND provider = 'stripe' AND account = '' ORDER BY id LIMIT 1";
        let row = client.query_typed_one(sql, &[(&middle, shared::db::Type::UUID)]).await?;
        let (id, event_id, object_id) = (row.get("id"), row.get("event_id"), row.get("object_id"));
        Ok(Self { client, ring: point.ground.ring()?, id, event_id, object_id })
    }

    /// The answer to one question, of which only the time is kept; it is to be the right one.
    async fn ask(&self, question: usize) -> Result<f64> {
        let (client, now) = (&self.client, Clock::system().now());
        let begin = Instant::now();
        let (found, expected) = match question {
            0 => {
                let depth = queue::depth(client, now).await?;
                (depth.due.min(1) + depth.dead, 1 + DEAD)
            }
            1 => (u64::from(queue::take(client, &self.ring, now).await?.is_some()), 1),
            2 => (self.list(None, None).await?, LISTED.unsigned_abs()),
            3 => (self.list(Some("refund.created"), None).await?, LISTED.unsigned_abs()),
            4 => (self.list(Some(UNHEARD_OF), Some(Duration::days(1))).await?, 0),
            5 => (self.list(Some(UNHEARD_OF), None).await?, 0),
            6 => (desk::dead(client, LISTED).await?.1.unsigned_abs(), DEAD),
            7 => (desk::about(client, std::slice::from_ref(&self.object_id), LISTED).await?.len() as u64, 1),
            8 => (desk::called(client, &self.event_id).await?.len() as u64, 1),
            _ => (u64::from(desk::body(client, &self.ring, self.id).await?.is_some()), 1),
        };
        let took = ms(begin.elapsed());
        ensure!(found == expected, "{}: {found}, and not {expected}", QUESTIONS[question]);
        Ok(took)
    }

    async fn list(&self, kind: Option<&str>, last: Option<Duration>) -> Result<u64> {
        let filter = Filter {
            provider: None,
            states: State::ALL.into(),
            kind: kind.map(str::to_owned),
            object_id: None,
            account: None,
            since: last.map(|last| Clock::system().now() - last),
            until: None,
        };
        Ok(desk::list(&self.client, &filter, LISTED).await?.len() as u64)
    }
}

/// Every question `times` times, of each inbox in turn. A question that takes too long is not asked again.
pub async fn ask(points: &[Point], times: u64) -> Result<Vec<Asked>> {
    ensure!(times < DUE, "more is taken up than waits");
    let mut desks = Vec::new();
    for point in points {
        desks.push(Desk::open(point).await?);
    }
    let mut asked: Vec<Asked> = points.iter().map(|_| vec![Vec::new(); QUESTIONS.len()]).collect();
    for question in 0..QUESTIONS.len() {
        for round in 0..=times {
            for (desk, asked) in desks.iter().zip(&mut asked) {
                let last = asked[question].last().copied().unwrap_or_default();
                if last > TOO_LONG && round > 2 {
                    continue;
                }
                let begin = Instant::now();
                let took = match desk.ask(question).await {
                    // The role's statements have a limit, and whoever looks has to choose better.
                    Err(_) if begin.elapsed() > GIVEN_UP_AFTER => ms(begin.elapsed()),
                    answered => answered.with_context(|| format!("not answered: {}", QUESTIONS[question]))?,
                };
                // The first finds nothing in memory.
                if round > 0 {
                    asked[question].push(took);
                }
            }
        }
    }
    Ok(asked)
}

/// How Postgres goes about counting what is due and taking one up. Nothing is taken up by this.
pub async fn plans(point: &Point, server: &Server) -> Result<Vec<(String, Vec<String>)>> {
    let work = async |mark: Mark<'_>| {
        let desk = Desk::open(point).await?;
        mark.set().await?;
        desk.ask(0).await?;
        desk.ask(1).await?;
        Ok(())
    };
    let statements = while_at_work((&point.ground.admin, server), Role::Jobs, work).await?;
    let mut plans = Vec::new();
    for (question, statement) in QUESTIONS.iter().zip(statements) {
        let (admin, sql) = (&point.ground.admin, statement.whole(&point.ground.admin).await?);
        admin.batch_execute(&format!("BEGIN; SET LOCAL ROLE {}", Role::Jobs.name())).await?;
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}");
        let rows = admin.query_typed(&explain, &[]).await;
        admin.batch_execute("ROLLBACK").await?;
        plans.push(((*question).to_owned(), rows?.iter().map(|row| row.get(0)).collect()));
    }
    Ok(plans)
}
