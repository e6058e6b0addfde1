use serde_json::json;
use shared::audit::{self, AuditDocument, AuditKey, Entry, Origin};
use shared::db::roles::Role;
use shared::random::Random;
use testing::{Result, World};
use time::Duration;
use tokio_postgres::GenericClient;
use uuid::Uuid;

use crate::tool::{Tool, document};

pub const VERIFY: [&str; 2] = ["audit", "verify"];
/// How many rows each account's chain has; the rest of the log belongs to no account.
const ACCOUNTS: [usize; 4] = [110, 80, 60, 40];
const SYSTEM_ROWS: usize = 30;

/// A log that several accounts and schedules have written to in turns, half of it sealed.
pub struct Log {
    pub world: World,
    pub key: AuditKey,
    /// Every row, by chain and number, in the order in which the verifier walks.
    pub rows: Vec<(String, i64)>,
}

impl Log {
    pub async fn write() -> Result<Self> {
        let world = World::start().await?;
        let parsed: AuditDocument = serde_json::from_value(document(&world.sandbox, "satchel/audit")?)?;
        let key = AuditKey::try_from(parsed).map_err(std::io::Error::other)?;
        let jobs = world.db.connect(Role::Jobs).await?;
        let random = Random::system();
        let accounts: Vec<Uuid> = ACCOUNTS.iter().map(|_| random.id(world.now())).collect();
        for turn in 0..ACCOUNTS[0].max(SYSTEM_ROWS) {
            let system = (turn < SYSTEM_ROWS).then_some(None);
            let of_turn = accounts.iter().zip(ACCOUNTS).filter(|(_, rows)| turn < *rows);
            for user_id in of_turn.map(|(account, _)| Some(*account)).chain(system) {
                let resource = format!("resource-{}", turn % 3);
                let entry = Entry {
                    user_id,
                    action: "session.opened",
                    resource: ("session", &resource),
                    details: json!({"turn": turn, "note": "as written"}),
                    origin: Origin {
                        ip: (turn % 4 > 0).then_some("203.0.113.7".parse()?),
                        request_id: "request-under-test",
                    },
                    now: world.now(),
                };
                audit::append(&jobs, &key, &entry, &random).await?;
                world.advance(Duration::seconds(1));
            }
            if turn == 35 {
                audit::seal_heads(&jobs, &key, world.now()).await?;
            }
        }
        audit::seal_heads(&jobs, &key, world.now()).await?;
        let admin = world.db.admin().await?;
        let rows = admin.query_typed("SELECT chain, seq FROM audit_logs ORDER BY chain, seq", &[]).await?;
        let rows = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(Self { world, key, rows })
    }

    /// A chain with some rows, and the last of them.
    pub fn long_chain(&self) -> (&str, i64) {
        self.rows
            .iter()
            .max_by_key(|(_, seq)| *seq)
            .map(|(chain, seq)| (chain.as_str(), *seq))
            .unwrap_or_default()
    }
}

/// Swaps two rows of a chain.
pub async fn swap(client: &impl GenericClient, chain: &str, one: i64, other: i64) -> Result<()> {
    for (from, to) in [(one, -1), (other, one), (-1, other)] {
        let sql = format!("UPDATE audit_logs SET seq = {to} WHERE chain = '{chain}' AND seq = {from}");
        client.batch_execute(&sql).await?;
    }
    Ok(())
}

/// Puts a copy of row `seq` behind it, and moves up all that follow.
pub async fn insert_after(client: &impl GenericClient, chain: &str, seq: i64) -> Result<()> {
    let sql = format!(
        "UPDATE audit_logs SET seq = seq + 1000001 WHERE chain = '{chain}' AND seq > {seq};
         UPDATE audit_logs SET seq = seq - 1000000 WHERE chain = '{chain}' AND seq > 1000000;"
    );
    client.batch_execute(&sql).await?;
    copy(client, chain, seq, seq + 1).await
}

/// Puts a copy of row `from` at the number `to`.
pub async fn copy(client: &impl GenericClient, chain: &str, from: i64, to: i64) -> Result<()> {
    let sql = format!(
        "INSERT INTO audit_logs
             (chain, seq, id, user_id, action, resource_type, resource_id, details, ip, request_id, created_at, link)
         SELECT chain, {to}, id, user_id, action, resource_type, resource_id, details, ip, request_id, created_at, link
         FROM audit_logs WHERE chain = '{chain}' AND seq = {from}"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// Cuts a chain off after row `seq`, and makes its own count agree.
pub async fn cut(client: &impl GenericClient, chain: &str, seq: i64) -> Result<()> {
    let sql = format!(
        "DELETE FROM audit_logs WHERE chain = '{chain}' AND seq > {seq};
         UPDATE audit_chains c SET count = l.seq, link = l.link FROM audit_logs l
         WHERE c.chain = '{chain}' AND l.chain = c.chain AND l.seq = {seq};"
    );
    Ok(client.batch_execute(&sql).await?)
}

#[tokio::test]
async fn an_untouched_log_is_what_was_written() -> Result<()> {
    let log = Log::write().await?;
    let printed = Tool::at(&log.world.sandbox).run(&VERIFY).await?.ok();
    assert!(printed.contains(&format!("{} rows", log.rows.len())), "{printed}");
    assert_eq!(log.rows.len(), ACCOUNTS.iter().sum::<usize>() + SYSTEM_ROWS);
    Ok(())
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_by_the_tool_which_names_the_row() -> Result<()> {
    let log = Log::write().await?;
    let (chain, last) = log.long_chain();
    let tool = Tool::at(&log.world.sandbox);
    for kind in ["alter", "delete", "insert", "reorder", "cut"] {
        let log_of_its_own = log.world.db.admin().await?;
        // Kept in the same database: what was there is put back afterwards.
        log_of_its_own
            .batch_execute("CREATE TABLE kept AS TABLE audit_logs; CREATE TABLE heads AS TABLE audit_chains")
            .await?;
        let (row, problem) = match kind {
            "alter" => {
                let sql = format!("UPDATE audit_logs SET ip = NULL WHERE chain = '{chain}' AND seq = 6");
                log_of_its_own.batch_execute(&sql).await?;
                (6, "is not what was written")
            }
            "delete" => {
                let sql = format!("DELETE FROM audit_logs WHERE chain = '{chain}' AND seq = 50");
                log_of_its_own.batch_execute(&sql).await?;
                (50, "is missing")
            }
            "insert" => {
                insert_after(&log_of_its_own, chain, 20).await?;
                (21, "is not what was written")
            }
            "reorder" => {
                swap(&log_of_its_own, chain, 30, 31).await?;
                (30, "is not what was written")
            }
            _ => {
                cut(&log_of_its_own, chain, last - 1).await?;
                (last, "is missing from the end")
            }
        };
        let said = tool.run(&VERIFY).await?.refused();
        assert_eq!(said, format!("satchel: chain {chain}, row {row}: {problem}\n"), "{kind}");
        log_of_its_own
            .batch_execute(
                "TRUNCATE audit_logs, audit_chains;
                 INSERT INTO audit_chains TABLE heads; INSERT INTO audit_logs TABLE kept;
                 DROP TABLE kept, heads",
            )
            .await?;
        tool.run(&VERIFY).await?.ok();
    }
    Ok(())
}

#[tokio::test]
async fn the_log_of_another_key_is_nothing_the_tool_vouches_for() -> Result<()> {
    let log = Log::write().await?;
    let other = shared::fresh::audit(&Random::system()).to_string();
    log.world.sandbox.secrets().put("satchel/audit", &other);
    let said = Tool::at(&log.world.sandbox).run(&VERIFY).await?.refused();
    let (chain, seq) = &log.rows[0];
    assert!(said.contains(&format!("chain {chain}, row {seq}: is not what was written")), "{said}");
    Ok(())
}
