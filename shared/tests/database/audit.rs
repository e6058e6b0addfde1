//! A log that shows every row changed, taken out, put in, moved or cut off.

use futures_util::future::try_join_all;
use serde_json::json;
use shared::audit::{
    AuditDocument, AuditKey, Broken, Entry, Origin, Sealed, Verified, append, seal_heads, verify,
};
use shared::db::commit;
use shared::db::roles::Role;
use shared::fresh;
use shared::random::Random;
use testing::{Result, TestDb};
use time::Duration;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{NOW, number};

fn new_key() -> Result<AuditKey> {
    let document: AuditDocument = serde_json::from_value(fresh::audit(&Random::system()))?;
    AuditKey::try_from(document).map_err(anyhow::Error::msg)
}

fn entry(user_id: Option<Uuid>, resource_id: &str) -> Entry<'_> {
    Entry {
        user_id,
        action: "session.opened",
        resource: ("session", resource_id),
        details: json!({ "b": 1, "a": "\u{e9}\n" }),
        origin: Origin { ip: Some([203, 0, 113, 7].into()), request_id: "r" },
        now: NOW,
    }
}

/// A log with one account's chain of `rows`, and a key.
struct Log {
    db: TestDb,
    admin: Client,
    key: AuditKey,
    user_id: Uuid,
}

impl Log {
    async fn of(rows: usize) -> Result<Self> {
        let db = TestDb::create().await?;
        let log = Self { admin: db.admin().await?, db, key: new_key()?, user_id: Random::system().id(NOW) };
        log.append(rows).await?;
        Ok(log)
    }

    async fn append(&self, rows: usize) -> Result<()> {
        let mut client = self.db.connect(Role::Auth).await?;
        for _ in 0..rows {
            let tx = client.transaction().await?;
            append(&tx, &self.key, &entry(Some(self.user_id), "a session"), &Random::system()).await?;
            commit(tx).await?;
        }
        Ok(())
    }

    /// As the operator's tool and the schedule look at it.
    async fn verify(&self) -> Result<Result<Verified, Broken>> {
        Ok(verify(&self.db.connect(Role::Jobs).await?, &self.key).await?)
    }

    async fn seal(&self) -> Result<Sealed> {
        Ok(seal_heads(&self.db.connect(Role::Jobs).await?, &self.key, NOW).await?)
    }

    /// What the verifier names after `sql`, which is then undone.
    async fn after(&self, sql: &str) -> Result<(i64, &'static str)> {
        self.admin.batch_execute("BEGIN; SET LOCAL session_replication_role = replica").await?;
        self.admin.batch_execute(sql).await?;
        let verified = verify(&self.admin, &self.key).await?;
        self.admin.batch_execute("ROLLBACK").await?;
        let Err(broken) = verified else { anyhow::bail!("not noticed: {sql}") };
        assert_eq!(broken.chain, self.user_id.to_string());
        Ok((broken.seq, broken.problem))
    }
}

#[tokio::test]
async fn what_was_written_verifies() -> Result<()> {
    let log = Log::of(5).await?;
    assert_eq!(log.verify().await?, Ok(Verified { chains: 1, rows: 5, heads: 0 }));
    assert_eq!(log.seal().await?, Sealed { sealed: 1, broken: 0 });
    assert_eq!(log.verify().await?, Ok(Verified { chains: 1, rows: 5, heads: 1 }));
    Ok(())
}

#[tokio::test]
async fn an_empty_log_verifies() -> Result<()> {
    let log = Log::of(0).await?;
    assert_eq!(log.verify().await?, Ok(Verified::default()));
    assert_eq!(log.seal().await?, Sealed::default());
    Ok(())
}

#[tokio::test]
async fn a_change_of_any_column_names_its_row() -> Result<()> {
    let log = Log::of(4).await?;
    for set in [
        "id = gen_random_uuid()",
        "user_id = gen_random_uuid()",
        "user_id = NULL",
        "action = 'session.closed'",
        "action = action || ' '",
        "resource_type = 'node'",
        "resource_id = ''",
        // The same value in other letters.
        "details = details::jsonb::json",
        "details = '{}'",
        "ip = '203.0.113.8'",
        "ip = NULL",
        "ip = '203.0.113.7/24'",
        "request_id = 'another'",
        "created_at = created_at + interval '1 microsecond'",
        "created_at = 'infinity'",
        "link = sha256(link)",
        "link = ''",
        // Moved over the border between two columns.
        "resource_type = resource_type || left(resource_id, 1), resource_id = substr(resource_id, 2)",
    ] {
        let found = log.after(&format!("UPDATE audit_logs SET {set} WHERE seq = 3")).await?;
        assert_eq!(found, (3, "is not what was written"), "{set}");
    }
    assert!(log.verify().await?.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_row_taken_out_put_in_or_moved_is_named() -> Result<()> {
    let log = Log::of(5).await?;
    let insert = |seq: i64, from: i64| {
        format!(
            "INSERT INTO audit_logs SELECT chain, {seq}, gen_random_uuid(), user_id, action, resource_type,
                 resource_id, details, ip, request_id, created_at, link FROM audit_logs WHERE seq = {from}"
        )
    };
    let shift = "UPDATE audit_logs SET seq = -seq - 1 WHERE seq >= 3;
                 UPDATE audit_logs SET seq = -seq WHERE seq < 0";
    let swap = "UPDATE audit_logs SET seq = 99 WHERE seq = 2; UPDATE audit_logs SET seq = 2 WHERE seq = 4;
                UPDATE audit_logs SET seq = 4 WHERE seq = 99";
    for (sql, expected) in [
        ("DELETE FROM audit_logs WHERE seq = 1".to_owned(), (1, "is missing")),
        ("DELETE FROM audit_logs WHERE seq = 3".to_owned(), (3, "is missing")),
        ("DELETE FROM audit_logs WHERE seq = 5".to_owned(), (5, "is missing from the end")),
        ("DELETE FROM audit_logs WHERE seq >= 2".to_owned(), (2, "is missing from the end")),
        ("DELETE FROM audit_logs".to_owned(), (1, "is missing from the end")),
        // The rows behind it close the gap.
        (
            "DELETE FROM audit_logs WHERE seq = 3; UPDATE audit_logs SET seq = -seq + 1 WHERE seq > 3;
             UPDATE audit_logs SET seq = -seq WHERE seq < 0"
                .to_owned(),
            (3, "is not what was written"),
        ),
        (format!("{shift}; {}", insert(3, 2)), (3, "is not what was written")),
        (insert(6, 5), (6, "is not what was written")),
        (insert(0, 1), (0, "was put in")),
        (insert(-7, 1), (-7, "was put in")),
        (swap.to_owned(), (2, "is not what was written")),
    ] {
        assert_eq!(log.after(&sql).await?, expected, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn a_tail_cut_off_shows_by_the_sealed_head_though_the_chain_was_shortened_to_match() -> Result<()> {
    let log = Log::of(3).await?;
    log.seal().await?;
    log.append(2).await?;
    let cut = |last: i64| {
        format!(
            "DELETE FROM audit_logs WHERE seq > {last};
             UPDATE audit_chains c SET count = {last}, link = COALESCE(
                 (SELECT link FROM audit_logs l WHERE l.chain = c.chain AND seq = {last}), '')"
        )
    };

    assert_eq!(log.after(&cut(2)).await?, (3, "is missing from the end"));
    assert_eq!(log.after(&cut(0)).await?, (1, "is missing from the end"));
    let gone = "DELETE FROM audit_logs; DELETE FROM audit_chains";
    assert_eq!(log.after(gone).await?, (1, "is missing from the end"));
    Ok(())
}

#[tokio::test]
async fn a_head_that_was_made_up_or_moved_is_named() -> Result<()> {
    let log = Log::of(3).await?;
    log.seal().await?;
    log.append(1).await?;
    for (sql, expected) in [
        ("UPDATE audit_heads SET seal = sha256(seal)", (3, "has a head that was not sealed by us")),
        ("UPDATE audit_heads SET link = sha256(link)", (3, "is not the row its head names")),
        ("UPDATE audit_heads SET count = 2", (2, "is not the row its head names")),
        ("UPDATE audit_heads SET count = 9", (5, "is missing from the end")),
        (
            "UPDATE audit_heads h SET count = 2, link = (SELECT link FROM audit_logs l WHERE seq = 2)",
            (2, "has a head that was not sealed by us"),
        ),
        ("UPDATE audit_chains SET link = sha256(link)", (4, "is not the row its head names")),
        ("UPDATE audit_chains SET count = 3", (3, "is not the row its head names")),
    ] {
        assert_eq!(log.after(sql).await?, expected, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn without_the_key_nothing_verifies() -> Result<()> {
    let log = Log::of(2).await?;
    let broken = verify(&log.admin, &new_key()?).await?.err();
    let said = broken.map(|broken| broken.to_string()).unwrap_or_default();
    assert_eq!(said, format!("chain {}, row 1: is not what was written", log.user_id));
    Ok(())
}

#[test]
fn a_weak_key_is_refused_without_being_quoted() {
    for byte in [0, b'k', u8::MAX] {
        let key = data_encoding::BASE64.encode(&[byte; 32]);
        let document: Result<AuditDocument, _> = serde_json::from_value(json!({ "key": key }));
        let refused = document.map_err(|error| error.to_string());
        assert_eq!(
            refused.ok().and_then(|document| AuditKey::try_from(document).err()),
            Some("is one repeated byte")
        );
    }
}

#[tokio::test]
async fn sealing_adds_a_head_only_to_chains_that_grew() -> Result<()> {
    let log = Log::of(3).await?;
    assert_eq!(log.seal().await?, Sealed { sealed: 1, broken: 0 });
    assert_eq!(log.seal().await?, Sealed::default());
    log.append(1).await?;
    assert_eq!(log.seal().await?, Sealed { sealed: 1, broken: 0 });
    assert_eq!(log.seal().await?, Sealed::default());
    assert_eq!(number(&log.admin, "SELECT count(*) FROM audit_heads").await?, 2);
    assert_eq!(log.verify().await?, Ok(Verified { chains: 1, rows: 4, heads: 2 }));
    Ok(())
}

#[tokio::test]
async fn a_broken_chain_is_reported_and_not_sealed_and_the_others_are() -> Result<()> {
    let log = Log::of(3).await?;
    let client = log.db.connect(Role::Auth).await?;
    let other = Random::system().id(NOW + Duration::seconds(1));
    append(&client, &log.key, &entry(Some(other), "another"), &Random::system()).await?;
    log.admin.batch_execute("UPDATE audit_logs SET action = 'x' WHERE seq = 2").await?;

    assert_eq!(log.seal().await?, Sealed { sealed: 1, broken: 1 });
    assert_eq!(log.seal().await?, Sealed { sealed: 0, broken: 1 }, "until somebody looks");
    let sealed = "SELECT count(*) FROM audit_heads WHERE count = 3";
    assert_eq!(number(&log.admin, sealed).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_chain_cut_back_below_its_head_is_reported_by_the_next_seal() -> Result<()> {
    let log = Log::of(3).await?;
    log.seal().await?;
    log.admin
        .batch_execute(
            "DELETE FROM audit_logs WHERE seq = 3;
             UPDATE audit_chains SET count = 2, link = (SELECT link FROM audit_logs WHERE seq = 2)",
        )
        .await?;
    assert_eq!(log.seal().await?, Sealed { sealed: 0, broken: 1 });
    Ok(())
}

#[tokio::test]
async fn a_chain_taken_away_whole_is_reported_by_the_next_seal() -> Result<()> {
    let log = Log::of(3).await?;
    log.seal().await?;
    log.admin.batch_execute("DELETE FROM audit_logs; DELETE FROM audit_chains").await?;
    assert_eq!(log.seal().await?, Sealed { sealed: 0, broken: 1 });
    Ok(())
}

#[tokio::test]
async fn twenty_at_once_leave_one_whole_chain() -> Result<()> {
    let log = Log::of(1).await?;
    let mut clients = try_join_all((0..20).map(|_| log.db.connect(Role::Auth))).await?;
    let (key, user_id) = (&log.key, log.user_id);

    try_join_all(clients.iter_mut().map(|client| async move {
        for _ in 0..5 {
            let tx = client.transaction().await?;
            append(&tx, key, &entry(Some(user_id), "a session"), &Random::system()).await?;
            append(&tx, key, &entry(Some(user_id), "the same"), &Random::system()).await?;
            commit(tx).await?;
        }
        anyhow::Ok(())
    }))
    .await?;

    assert_eq!(log.verify().await?, Ok(Verified { chains: 1, rows: 201, heads: 0 }));
    Ok(())
}

#[tokio::test]
async fn a_row_rolled_back_leaves_no_gap() -> Result<()> {
    let log = Log::of(1).await?;
    let mut client = log.db.connect(Role::Auth).await?;
    let tx = client.transaction().await?;
    append(&tx, &log.key, &entry(Some(log.user_id), "lost"), &Random::system()).await?;
    tx.rollback().await?;
    log.append(1).await?;
    assert_eq!(log.verify().await?, Ok(Verified { chains: 1, rows: 2, heads: 0 }));
    Ok(())
}

#[tokio::test]
async fn what_belongs_to_no_account_goes_to_one_of_64_chains_by_its_resource() -> Result<()> {
    let log = Log::of(0).await?;
    let client = log.db.connect(Role::Jobs).await?;
    for n in 0..600 {
        append(&client, &log.key, &entry(None, &(n % 300).to_string()), &Random::system()).await?;
    }
    let count = |sql: &'static str| number(&log.admin, sql);
    let chains =
        count("SELECT count(*) FROM audit_chains WHERE chain ~ '^system:([0-5][0-9]|6[0-3])$'").await?;
    assert!(chains > 55, "{chains}");
    assert_eq!(count("SELECT count(*) FROM audit_chains").await?, chains);
    assert_eq!(
        count("SELECT max(n) FROM (SELECT count(DISTINCT chain) n FROM audit_logs GROUP BY resource_id) x")
            .await?,
        1
    );
    let verified = log.verify().await?.map_err(|broken| anyhow::anyhow!("{broken}"))?;
    assert_eq!(verified.rows, 600);
    Ok(())
}
