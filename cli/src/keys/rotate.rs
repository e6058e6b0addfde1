use std::mem;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use shared::audit::{AuditDocument, AuditKey};
use shared::clock::Clock;
use shared::crypto::{Purpose, UnknownPurpose};
use shared::db::roles::Role;
use shared::db::{self, Type};
use shared::fresh;
use shared::random::Random;
use shared::reseal::{self, Move, columns};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::document::Document;
use super::record;
use super::screen::Screen;
use super::walk::{Walker, rate};
use crate::store::{Store, prefix};

/// Held by a rotation; any number will do that nothing else locks.
const LOCK: i64 = 7_282_438;
/// A run that was killed holds the lock for as long as its last statement takes.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// A request that sealed with the older key just before the new one settled has written by then, and no two clocks
/// are further apart.
const IN_FLIGHT: time::Duration = time::Duration::seconds(60);
/// An older key is kept for this long after a value of its was last met.
const KEPT: time::Duration = time::Duration::seconds(300);

/// Move what is sealed to a new key while requests run
///
/// Adds a key to the secret `sealing`, waits until every function has it, moves every value of the purpose to it,
/// looks once more whether none is left, and takes the keys out that nothing needs any more. It may be stopped at
/// any moment: run again, it goes on where it was. Reads `audit` and `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is sealed for: `all`, or one of macaroon, refresh-key, stored-reply, wallet, btcpay-config, node-config,
    /// webhook-body, mail, push-token
    #[arg(value_parser = asked)]
    purpose: Asked,
    /// What the names of the secrets begin with: the stack's parameter `SecretPrefix`
    #[arg(long, default_value = "satchel", value_parser = prefix)]
    prefix: String,
    /// Where there is something to wait for, stop and say when to run this again
    #[arg(long)]
    no_wait: bool,
    /// Move no more values than this in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rows_per_second: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    All,
    One(Purpose),
}

fn asked(text: &str) -> Result<Asked, UnknownPurpose> {
    if text == "all" { Ok(Asked::All) } else { text.parse().map(Asked::One) }
}

impl Asked {
    fn includes(self, purpose: Purpose) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == purpose,
        }
    }
}

pub async fn run(args: Args) -> Result<String> {
    let store = Store::manager(args.prefix).await?;
    let audit_key = store.read::<AuditDocument, AuditKey>("audit").await?;
    let client = store.connect(Role::Jobs).await?;
    let clock = begin(&client).await?;
    let walker = Walker {
        client,
        clock,
        random: Random::system(),
        screen: Screen::new(),
        pace: args.rows_per_second,
        moved: 0,
        took: Duration::ZERO,
    };
    let mut rotation = Rotation { store, audit_key, walker, no_wait: args.no_wait, said: Vec::new() };
    let moves = rotation.choose(args.purpose).await?;
    rotation.drive(&moves).await?;
    Ok(rotation.said.join("\n"))
}

/// Takes the lock that keeps rotations apart, and the time from the database: functions are close to its clock; this
/// machine's may be anywhere.
async fn begin(client: &Client) -> Result<Clock> {
    // The role's own limit is made for requests, which never look at a whole table.
    client.batch_execute("SET statement_timeout = '1h'").await?;
    for attempt in 0..LOCK_TRIES {
        if attempt > 0 {
            sleep(LOCK_PAUSE).await;
        }
        let sql = "SELECT pg_try_advisory_lock($1) AS alone, clock_timestamp() AS now";
        let row = db::query_one(client, sql, &[(&LOCK, Type::INT8)]).await?;
        if row.get("alone") {
            let own = Clock::system();
            let ahead = row.get::<_, OffsetDateTime>("now") - own.now();
            return Ok(Clock::from_fn(move || own.now() + ahead));
        }
    }
    bail!("another rotation is under way")
}

struct Rotation {
    store: Store,
    audit_key: AuditKey,
    walker: Walker,
    no_wait: bool,
    said: Vec<String>,
}

impl Rotation {
    /// What is to be done: what an earlier run left, or else what is asked for, under a key made now.
    async fn choose(&mut self, asked: Asked) -> Result<Vec<Move>> {
        let document = Document::read(&self.store).await?;
        let known = reseal::progress(&self.walker.client).await?;
        let left = reseal::unfinished(&document.ring, &known);
        if !left.is_empty() {
            if !left.iter().any(|step| asked.includes(step.purpose)) {
                let purpose = left[0].purpose;
                bail!(
                    "the rotation of {} is not finished: `satchel keys rotate {purpose}` does",
                    record::list(&left)
                );
            }
            self.said.push(format!("went on with the rotation of {}", record::list(&left)));
            if matches!(asked, Asked::All) && left.len() < Purpose::ALL.len() {
                self.said.push("run this again for a new key for every purpose".to_owned());
            }
            return Ok(left);
        }
        // Not the id of a key that is gone: what it sealed must not look like another's.
        let used = document.ring.keys().map(|key| key.id).chain(known.iter().map(|row| row.key_id)).max();
        let id = used.unwrap_or_default().checked_add(1).context("there is no id left for a new key")?;
        let purposes = match &asked {
            Asked::All => &[],
            Asked::One(purpose) => std::slice::from_ref(purpose),
        };
        let entry = fresh::sealing_key(id, purposes, self.walker.clock.now(), &self.walker.random);
        let document = document.with(entry)?;
        document.replace(&self.store).await?;
        let moves = reseal::unfinished(&document.ring, &known);
        self.said.push(format!("added key {id} for {}", record::purposes(&moves)));
        Ok(moves)
    }

    async fn drive(&mut self, moves: &[Move]) -> Result<()> {
        record::beginning(&mut self.walker, &self.audit_key, moves).await?;
        let settled = moves.iter().map(|step| step.settled_at).max().context("there is nothing to do")?;
        if !self.wait_until(settled + IN_FLIGHT, "every function has the new key").await? {
            return Ok(());
        }
        let retired = loop {
            self.move_values(moves).await?;
            let Some(until) = self.retire_at(moves, settled).await? else { break Vec::new() };
            if !self.wait_until(until, "the older keys may go").await? {
                return Ok(());
            }
            if !self.anything_left(moves).await? {
                break self.retire(settled).await?;
            }
        };
        record::end(&mut self.walker, &self.audit_key, moves, &retired).await?;
        self.said.extend(retired.iter().map(|id| format!("took out key {id}")));
        self.said.push(format!("{} is sealed with the newest key alone", record::purposes(moves)));
        Ok(())
    }

    /// Returns false when there is time left and nobody wants to wait.
    async fn wait_until(&mut self, at: OffsetDateTime, what: &str) -> Result<bool> {
        self.walker.screen.next();
        loop {
            let left = at - self.walker.clock.now();
            if !left.is_positive() {
                return Ok(true);
            }
            if self.no_wait {
                let at = at.replace_nanosecond(0)? + time::Duration::SECOND;
                self.said.push(format!("{what} at {}: run this again after that", at.format(&Rfc3339)?));
                return Ok(false);
            }
            self.walker.screen.show(|| format!("{what} in {} s", left.whole_seconds() + 1));
            sleep(left.min(time::Duration::SECOND).unsigned_abs()).await;
        }
    }

    async fn move_values(&mut self, moves: &[Move]) -> Result<()> {
        let ring = Document::read(&self.store).await?.ring;
        let mut unreadable = Vec::new();
        for step in moves {
            for column in columns(step.purpose) {
                unreadable.extend(self.walker.column(column, *step, &ring).await?);
            }
        }
        let (values, took) = (mem::take(&mut self.walker.moved), mem::take(&mut self.walker.took));
        if values > 0 {
            self.said.push(format!("moved {values} values, {} a second", rate(values, took.as_secs_f64())));
        }
        if unreadable.is_empty() {
            return Ok(());
        }
        bail!("these values do not open where they stand, so the older keys stay: {}", unreadable.join(", "))
    }

    /// When the keys that nothing needs may go; `None` if there is none.
    async fn retire_at(&self, moves: &[Move], settled: OffsetDateTime) -> Result<Option<OffsetDateTime>> {
        if Document::read(&self.store).await?.ring.superseded(settled).is_empty() {
            return Ok(None);
        }
        let known = reseal::progress(&self.walker.client).await?;
        let last_met = record::of(&known, moves).filter_map(|row| row.found_at).max();
        Ok(Some(last_met.unwrap_or(settled).max(settled + IN_FLIGHT) + KEPT))
    }

    async fn anything_left(&self, moves: &[Move]) -> Result<bool> {
        for step in moves {
            for column in columns(step.purpose) {
                if reseal::count_older(&self.walker.client, column, step.key_id).await? > 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Takes out the keys that nothing is sealed with, and puts them back if that was not so after all.
    async fn retire(&mut self, settled: OffsetDateTime) -> Result<Vec<u32>> {
        let document = Document::read(&self.store).await?;
        let mut gone = Vec::new();
        for id in document.ring.superseded(settled) {
            match reseal::count_sealed_by(&self.walker.client, id).await? {
                0 => gone.push(id),
                // A build that knew nothing of purposes sealed with whatever key was the newest.
                rows => self.said.push(format!("key {id} stays: {rows} values of other purposes name it")),
            }
        }
        if gone.is_empty() {
            return Ok(gone);
        }
        document.without(&gone)?.replace(&self.store).await?;
        for id in &gone {
            if reseal::count_sealed_by(&self.walker.client, *id).await? > 0 {
                document.replace(&self.store).await?;
                bail!(
                    "something was sealed with key {id} at the last moment, so it was put back: run this again"
                );
            }
        }
        Ok(gone)
    }
}
