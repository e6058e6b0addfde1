//! A deployment with an inbox in it.

use shared::crypto::{KeyRing, SealingKeys};
use shared::db::Type;
use shared::random::Random;
use shared::webhook::body_field;
use testing::{Result, World};
use time::{Duration, OffsetDateTime};
use tokio_postgres::{Client, GenericClient};
use uuid::Uuid;

use crate::tool::{Ran, Tool, document, today, world_of_today};

pub struct Inbox {
    pub world: World,
    pub tool: Tool,
    pub admin: Client,
    ring: KeyRing,
}

/// A row of the inbox.
#[derive(Clone)]
pub struct Told<'a> {
    pub provider: &'a str,
    pub account: &'a str,
    pub webhook_id: &'a str,
    pub event_id: &'a str,
    pub kind: &'a str,
    pub object_id: Option<&'a str>,
    pub state: &'a str,
    pub attempts: i32,
    pub code: Option<&'a str>,
    /// When it came and, a second before that, happened.
    pub ago: Duration,
    pub body: &'a [u8],
}

impl Default for Told<'_> {
    fn default() -> Self {
        Self {
            provider: "stripe",
            account: "",
            webhook_id: "",
            event_id: "evt_1",
            kind: "charge.updated",
            object_id: Some("ch_1"),
            state: "received",
            attempts: 0,
            code: None,
            ago: Duration::minutes(1),
            body: br#"{"id":"evt_1"}"#,
        }
    }
}

impl Inbox {
    pub async fn start() -> Result<Self> {
        let world = world_of_today().await?;
        let (tool, admin) = (Tool::at(&world.sandbox), world.db.admin().await?);
        let keys: SealingKeys = serde_json::from_value(document(&world.sandbox, "satchel/sealing")?)?;
        let ring = KeyRing::try_from(keys).map_err(anyhow::Error::msg)?;
        Ok(Self { world, tool, admin, ring })
    }

    /// `satchel webhooks …`
    pub async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.tool.run(&[&["webhooks"], arguments].concat()).await
    }

    /// `satchel payments …`
    pub async fn payments(&self, arguments: &[&str]) -> Result<Ran> {
        self.tool.run(&[&["payments"], arguments].concat()).await
    }

    pub async fn told(&self, told: &Told<'_>) -> Result<Uuid> {
        self.told_by(&self.admin, told).await
    }

    /// In the caller's transaction.
    pub async fn told_by(&self, client: &impl GenericClient, told: &Told<'_>) -> Result<Uuid> {
        let received_at = today() - told.ago;
        let id = Random::system().id(received_at);
        let sealed = self.ring.seal(body_field(&id), told.body, today(), &Random::system())?;
        let waits = told.state == "received";
        let (due_at, finished_at) = (waits.then_some(received_at), (!waits).then_some(received_at));
        client
            .execute_typed(
                "INSERT INTO webhook_events
                     (id, provider, account, webhook_id, event_id, type, object_id, body_sealed, state, attempts,
                      last_error_code, received_at, due_at, finished_at, occurred_at, livemode, api_version)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, false, '2026-10-28.endive')",
                &[
                    (&id, Type::UUID),
                    (&told.provider, Type::TEXT),
                    (&told.account, Type::TEXT),
                    (&told.webhook_id, Type::TEXT),
                    (&told.event_id, Type::TEXT),
                    (&told.kind, Type::TEXT),
                    (&told.object_id, Type::TEXT),
                    (&sealed, Type::BYTEA),
                    (&told.state, Type::TEXT),
                    (&told.attempts, Type::INT4),
                    (&told.code, Type::TEXT),
                    (&received_at, Type::TIMESTAMPTZ),
                    (&due_at, Type::TIMESTAMPTZ),
                    (&finished_at, Type::TIMESTAMPTZ),
                    (&(received_at - Duration::SECOND), Type::TIMESTAMPTZ),
                ],
            )
            .await?;
        Ok(id)
    }

    /// So many events in this state, one each second up to `until` ago, about ten accounts' objects.
    pub async fn many(&self, count: i32, state: &str, until: Duration) -> Result<()> {
        let last = today() - until;
        self.admin
            .execute_typed(
                "INSERT INTO webhook_events
                     (id, provider, account, webhook_id, event_id, type, object_id, body, state, received_at, due_at,
                      finished_at)
                 SELECT CAST(lpad(to_hex(CAST(floor(extract(epoch FROM at) * 1000) AS bigint)), 12, '0') || '7'
                            || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15) AS uuid),
                        'stripe', 'acct_' || n % 10, '', 'evt_' || $2 || n, 'charge.updated', 'ch_' || n, '{}', $2, at,
                        CASE WHEN $2 = 'received' THEN at END, CASE WHEN $2 <> 'received' THEN at END
                 FROM (SELECT n, $3 - n * interval '1 second' AS at FROM generate_series(1, $1) n) rows",
                &[(&count, Type::INT4), (&state, Type::TEXT), (&last, Type::TIMESTAMPTZ)],
            )
            .await?;
        Ok(())
    }

    pub async fn sql(&self, sql: &str) -> Result<()> {
        Ok(self.admin.batch_execute(sql).await?)
    }

    pub async fn count(&self, from: &str) -> Result<i64> {
        Ok(self.admin.query_typed_one(&format!("SELECT count(*) FROM {from}"), &[]).await?.get(0))
    }

    /// What the audit log says that `satchel webhooks` did with this event, in so many rows.
    pub async fn audited(
        &self,
        action: &str,
        command: &str,
        id: Uuid,
        (name, value): (&str, &str),
    ) -> Result<i64> {
        self.count(&format!(
            "audit_logs WHERE action = '{action}' AND resource_type = 'webhook_events' AND resource_id = '{id}'
             AND details ->> '{name}' = '{value}' AND request_id = 'satchel webhooks {command}' AND user_id IS NULL"
        ))
        .await
    }

    /// State, attempts, error code, and whether it is due.
    pub async fn standing(&self, id: Uuid) -> Result<(String, i32, Option<String>, bool)> {
        let row = self
            .admin
            .query_typed_one(
                "SELECT state, attempts, last_error_code, COALESCE(due_at <= now(), false) AS due
                 FROM webhook_events WHERE id = $1",
                &[(&id, Type::UUID)],
            )
            .await?;
        Ok((row.get("state"), row.get("attempts"), row.get("last_error_code"), row.get("due")))
    }

    /// An account of ours.
    pub async fn user(&self) -> Result<Uuid> {
        let id = Random::system().id(today());
        self.sql(&format!("INSERT INTO users (id, created_at, updated_at) VALUES ('{id}', now(), now())"))
            .await?;
        Ok(id)
    }
}

/// As the tool takes it.
pub fn rfc3339(time: OffsetDateTime) -> Result<String> {
    Ok(time.format(&time::format_description::well_known::Rfc3339)?)
}
