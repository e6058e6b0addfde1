//! A deployment with sealed values in it, whose key is rotated.

use sandbox::Sandbox;
use serde_json::Value;
use shared::crypto::{Field, KeyRing, Purpose, SealingKeys};
use shared::db::Type;
use shared::random::Random;
use testing::{Result, World};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::tool::{Ran, Tool, document, today, world_of_today};

/// Longer than anything in a rotation waits.
const A_WHILE: Duration = Duration::minutes(10);
const ROWS_AT_ONCE: usize = 2_000;

/// The three values of an account that these tests know.
pub const KINDS: [(Purpose, &str, &str, &str); 3] = [
    (Purpose::Macaroon, "nodes", "user_id", "macaroon_sealed"),
    (Purpose::RefreshKey, "sessions", "id", "refresh_key_sealed"),
    (Purpose::StoredReply, "idempotency_keys", "user_id", "reply_sealed"),
];

pub struct Keeper {
    pub world: World,
    pub tool: Tool,
    pub admin: Client,
    /// The accounts; a session has its account's id.
    pub accounts: Vec<Uuid>,
}

/// What the value of an account is sealed to.
pub fn row(kind: usize, account: Uuid) -> Vec<u8> {
    if kind == 2 { format!("{account}\nPOST /v1/nodes\nk").into_bytes() } else { account.as_bytes().to_vec() }
}

pub fn field(kind: usize, row: &[u8]) -> Field<'_> {
    let (purpose, table, _, column) = KINDS[kind];
    Field { purpose, table, column, row }
}

impl Keeper {
    /// With what there is.
    pub async fn of(world: World, tool: Tool) -> Result<Self> {
        let admin = world.db.admin().await?;
        Ok(Self { world, tool, admin, accounts: Vec::new() })
    }

    /// With this many accounts, three values each.
    pub async fn start(accounts: usize) -> Result<Self> {
        let world = world_of_today().await?;
        let tool = Tool::at(&world.sandbox);
        let mut keeper = Self::of(world, tool).await?;
        let (ring, random) = (keeper.ring()?, Random::system());
        keeper.accounts = (0..accounts).map(|_| random.id(today())).collect();
        for some in keeper.accounts.chunks(ROWS_AT_ONCE) {
            let sealed = |kind: usize| -> Result<Vec<Vec<u8>>> {
                some.iter().map(|account| seal(&ring, kind, *account, 0, today())).collect()
            };
            let values = [sealed(0)?, sealed(1)?, sealed(2)?];
            for sql in [
                "INSERT INTO users (id, created_at, updated_at) SELECT n.id, now(), now()
                 FROM unnest($1, $2, $3, $4) n (id, macaroon, refresh_key, reply)",
                "INSERT INTO nodes (user_id, did, node_id, pubkey, macaroon_sealed, created_at, updated_at)
                 SELECT n.id, 'x', n.id::text, '02' || encode(sha256(n.id::text::bytea), 'hex'), n.macaroon, now(), now()
                 FROM unnest($1, $2, $3, $4) n (id, macaroon, refresh_key, reply)",
                "INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                     created_at, last_seen_at, idle_expires_at, absolute_expires_at)
                 SELECT n.id, n.id, 'did', 'x', n.refresh_key, now(), now(), now(), now(), now()
                 FROM unnest($1, $2, $3, $4) n (id, macaroon, refresh_key, reply)",
                "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, status, reply_sealed, created_at, expires_at)
                 SELECT n.id, 'POST /v1/nodes', 'k', '', 201, n.reply, now(), now()
                 FROM unnest($1, $2, $3, $4) n (id, macaroon, refresh_key, reply)",
            ] {
                let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
                    (&some, Type::UUID_ARRAY),
                    (&values[0], Type::BYTEA_ARRAY),
                    (&values[1], Type::BYTEA_ARRAY),
                    (&values[2], Type::BYTEA_ARRAY),
                ];
                keeper.admin.execute_typed(sql, &parameters).await?;
            }
        }
        Ok(keeper)
    }

    /// `satchel keys rotate … --no-wait`
    pub async fn rotate(&self, purpose: &str) -> Result<Ran> {
        self.tool.run(&["keys", "rotate", purpose, "--no-wait"]).await
    }

    pub fn ring(&self) -> Result<KeyRing> {
        let document: SealingKeys = serde_json::from_value(self.document()?)?;
        KeyRing::try_from(document).map_err(anyhow::Error::msg)
    }

    pub fn document(&self) -> Result<Value> {
        document(&self.world.sandbox, "satchel/sealing")
    }

    /// The ids of the keys in the secret.
    pub fn held(&self) -> Result<Vec<u32>> {
        Ok(self.ring()?.keys().map(|key| key.id).collect())
    }

    /// A run that succeeds, and the time after which a key may go.
    pub async fn rotate_and_wait(&self) -> Result<()> {
        self.rotate("all").await?.done();
        self.a_while_later().await
    }

    /// Time passes for keys and rows: the tool goes by the database's clock, which nobody sets.
    pub async fn a_while_later(&self) -> Result<()> {
        self.change_keys(|created_at| created_at - A_WHILE)?;
        let sql = "UPDATE reseal_progress SET found_at = found_at - interval '10 minutes'";
        Ok(self.admin.batch_execute(sql).await?)
    }

    /// Sets when the keys were made.
    pub fn change_keys(&self, change: impl Fn(OffsetDateTime) -> OffsetDateTime) -> Result<()> {
        let mut document = self.document()?;
        for key in document["keys"].as_array_mut().into_iter().flatten() {
            let created_at = OffsetDateTime::parse(key["created_at"].as_str().unwrap_or_default(), &Rfc3339)?;
            key["created_at"] = change(created_at).format(&Rfc3339)?.into();
        }
        put(&self.world.sandbox, &document);
        Ok(())
    }

    pub async fn put_value(&self, kind: usize, account: Uuid, sealed: &[u8]) -> Result<()> {
        let (_, table, key, column) = KINDS[kind];
        let sql = format!("UPDATE {table} SET {column} = $2 WHERE {key} = $1");
        let changed =
            self.admin.execute_typed(&sql, &[(&account, Type::UUID), (&sealed, Type::BYTEA)]).await?;
        assert_eq!(changed, 1);
        Ok(())
    }

    /// How many values each key sealed, of one kind; opens every one with the ring as it is now.
    pub async fn sealed_by(&self, kind: usize) -> Result<Vec<(u32, usize)>> {
        let (_, table, key, column) = KINDS[kind];
        let (ring, mut counts) = (self.ring()?, std::collections::BTreeMap::new());
        let sql = format!("SELECT {key}, {column} FROM {table}");
        for found in self.admin.query_typed(&sql, &[]).await? {
            let (account, sealed): (Uuid, &[u8]) = (found.get(0), found.get(1));
            open(&ring, kind, account, sealed)?;
            *counts.entry(u32::from_be_bytes(sealed[1..5].try_into()?)).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }
}

pub fn put(sandbox: &Sandbox, document: &Value) {
    sandbox.secrets().put("satchel/sealing", &document.to_string());
}

/// The value of an account, written for the `count`th time.
pub fn seal(ring: &KeyRing, kind: usize, account: Uuid, count: u64, now: OffsetDateTime) -> Result<Vec<u8>> {
    let text = format!("{account} {count}");
    Ok(ring.seal(field(kind, &row(kind, account)), text.as_bytes(), now, &Random::system())?)
}

/// How often the account's value had been written when this one was.
pub fn open(ring: &KeyRing, kind: usize, account: Uuid, sealed: &[u8]) -> Result<u64> {
    let opened = ring.open(field(kind, &row(kind, account)), sealed)?;
    let text = std::str::from_utf8(opened.expose())?;
    let count = text.strip_prefix(&account.to_string()).map(|rest| rest.trim_start().parse());
    Ok(count.ok_or_else(|| anyhow::anyhow!("another's value: {text}"))??)
}
