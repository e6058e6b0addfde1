//! Sealed values on their way to a newer key.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use shared::crypto::{Field, KeyRing, Purpose, SealingKeys, beginning};
use shared::db::Type;
use shared::db::roles::Role;
use shared::random::Random;
use shared::reseal::{
    Batch, Move, ResealError, SEALED_COLUMNS, SealedColumn, batch, begin, columns, count_older,
    count_sealed_by, finish, progress, unfinished,
};
use shared::{fresh, idempotency, node};
use testing::{Result, TestDb, deployment};
use time::OffsetDateTime;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::{NOW, act_for, create_account};

const LONG_AGO: time::Duration = time::Duration::days(9);

/// A database, what the operator's tool sees of it, and a ring before and after a key was added.
struct Vault {
    db: TestDb,
    admin: Client,
    jobs: Client,
    before: KeyRing,
    after: KeyRing,
    random: Random,
}

fn ring(entries: &[serde_json::Value]) -> Result<KeyRing> {
    let document: SealingKeys = serde_json::from_value(json!({ "keys": entries }))?;
    KeyRing::try_from(document).map_err(anyhow::Error::msg)
}

impl Vault {
    async fn new() -> Result<Self> {
        let (db, random) = (TestDb::create().await?, Random::system());
        let first = fresh::sealing_key(1, &[], NOW - LONG_AGO, &random);
        let second = fresh::sealing_key(2, &[], NOW - time::Duration::minutes(5), &random);
        let (admin, jobs) = (db.admin().await?, db.connect(Role::Jobs).await?);
        let (before, after) = (ring(std::slice::from_ref(&first))?, ring(&[first, second])?);
        Ok(Self { db, admin, jobs, before, after, random })
    }

    fn seal(&self, ring: &KeyRing, field: Field<'_>, text: &str) -> Result<Vec<u8>> {
        Ok(ring.seal(field, text.as_bytes(), NOW, &self.random)?)
    }

    /// An account with a value in every sealed column, under the first key; each says where it stands.
    async fn fill(&self) -> Result<Uuid> {
        let user_id = create_account(&self.db.connect(Role::Auth).await?, &self.random).await?;
        self.admin
            .batch_execute(&format!(
                "INSERT INTO nodes (user_id, did, node_id, pubkey, created_at, updated_at)
                     VALUES ('{user_id}', 'x', 'x', '02' || encode(sha256('{user_id}'), 'hex'), now(), now());
                 INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                         created_at, last_seen_at, idle_expires_at, absolute_expires_at)
                     VALUES ('{user_id}', '{user_id}', 'did', 'x', '', now(), now(), now(), now(), now());
                 INSERT INTO idempotency_keys (user_id, route, key, fingerprint, status, created_at, expires_at)
                     VALUES ('{user_id}', 'POST /v1/nodes', 'k-1', '', 201, now(), now());
                 INSERT INTO lightning_setups (id, user_id, username, address, node_source, state, step, due_at,
                         created_at, updated_at)
                     VALUES ('{user_id}', '{user_id}', 'x', '{user_id}@example.com', 'voltage', 'running', 'activate',
                             now(), now(), now());
                 INSERT INTO lightning_setup_secrets (setup_id, user_id) VALUES ('{user_id}', '{user_id}');
                 INSERT INTO lightning_addresses (user_id, setup_id, username, address, btcpay_store_id,
                         voltage_node_id, btcpay_config_sealed, node_config_sealed, created_at, updated_at)
                     VALUES ('{user_id}', '{user_id}', 'x', '{user_id}@example.com', '{user_id}', '{user_id}', '', '',
                             now(), now());
                 INSERT INTO webhook_events (id, provider, account, webhook_id, event_id, type, body_sealed, state,
                         received_at, due_at, finished_at)
                     VALUES ('{user_id}', 'stripe', '', '', '{user_id}', 'x', '', 'done', now(), NULL, now());
                 INSERT INTO mails (id, user_id, kind, state, content_sealed, due_at, created_at)
                     VALUES ('{user_id}', '{user_id}', 'verify_email', 'waiting', '', now(), now());"
            ))
            .await?;
        for column in SEALED_COLUMNS {
            let sealed =
                self.seal(&self.before, field(column, &row(column, user_id)), &text(column, user_id))?;
            self.put(column, user_id, &sealed).await?;
        }
        Ok(user_id)
    }

    async fn put(&self, column: &SealedColumn, owner: Uuid, sealed: &[u8]) -> Result<()> {
        let sql = format!("UPDATE {} SET {} = $2 WHERE {} = $1", column.table, column.column, key(column));
        let changed = self.admin.execute_typed(&sql, &[(&owner, Type::UUID), (&sealed, Type::BYTEA)]).await?;
        assert_eq!(changed, 1, "{sql}");
        Ok(())
    }

    async fn get(&self, column: &SealedColumn, owner: Uuid) -> Result<Vec<u8>> {
        let sql = format!("SELECT {} FROM {} WHERE {} = $1", column.column, column.table, key(column));
        Ok(self.admin.query_typed_one(&sql, &[(&owner, Type::UUID)]).await?.get(0))
    }

    async fn step(
        &self,
        column: &SealedColumn,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Batch, ResealError> {
        batch(&self.jobs, (column, 2), (after, limit), &self.after, (NOW, &self.random)).await
    }

    /// The whole column, two rows at a time.
    async fn walk(&self, column: &SealedColumn) -> Result<Batch> {
        let (mut sum, mut reached) = (Batch::default(), None::<String>);
        loop {
            let batch = self.step(column, reached.as_deref(), 2).await?;
            sum.resealed += batch.resealed;
            sum.passed_over += batch.passed_over;
            sum.unreadable.extend(batch.unreadable);
            if batch.reached.is_none() {
                return Ok(sum);
            }
            reached = batch.reached;
        }
    }
}

fn key(column: &SealedColumn) -> &'static str {
    match column.table {
        "sessions" | "webhook_events" | "mails" => "id",
        "lightning_setup_secrets" => "setup_id",
        _ => "user_id",
    }
}

/// What a value is sealed to, said a second time: the fixture has one row of each table for each account.
fn row(column: &SealedColumn, owner: Uuid) -> Vec<u8> {
    if column.table == "idempotency_keys" {
        format!("{owner}\nPOST /v1/nodes\nk-1").into_bytes()
    } else {
        owner.as_bytes().to_vec()
    }
}

fn field<'a>(column: &SealedColumn, row: &'a [u8]) -> Field<'a> {
    Field { purpose: column.purpose, table: column.table, column: column.column, row }
}

fn text(column: &SealedColumn, owner: Uuid) -> String {
    format!("{}.{} of {owner}", column.table, column.column)
}

/// The first column of the purpose.
fn column(purpose: Purpose) -> &'static SealedColumn {
    columns(purpose).next().unwrap_or(&SEALED_COLUMNS[0])
}

#[tokio::test]
async fn every_sealed_column_of_the_database_is_on_the_list() -> Result<()> {
    let db = TestDb::create().await?;
    let found = db
        .admin()
        .await?
        .query_typed(
            "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
             WHERE table_schema = 'public' AND column_name LIKE '%\\_sealed'",
            &[],
        )
        .await?;
    assert!(found.iter().all(|row| row.get::<_, &str>(2) == "bytea"), "what is sealed is bytes: {found:?}");
    let found: BTreeSet<(String, String)> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    let listed: BTreeSet<_> =
        SEALED_COLUMNS.iter().map(|column| (column.table.to_owned(), column.column.to_owned())).collect();
    assert_eq!(
        found, listed,
        "give the column its line in SEALED_COLUMNS, and satchel_jobs the right to move it"
    );
    assert_eq!(listed.len(), SEALED_COLUMNS.len());
    Ok(())
}

#[tokio::test]
async fn the_tool_writes_no_more_than_it_moves_but_where_it_ends_a_session() -> Result<()> {
    let db = TestDb::create().await?;
    let rights = async |table: &str| -> Result<Vec<String>> {
        let sql = "SELECT column_name::text FROM information_schema.columns
                   WHERE table_schema = 'public' AND table_name = $1
                     AND has_column_privilege('satchel_jobs', $1, column_name, 'UPDATE') ORDER BY column_name";
        let admin = db.admin().await?;
        let rows = admin.query_typed(sql, &[(&table, Type::TEXT)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    let session = ["push_token_sealed", "refresh_key_sealed", "revoked_at", "revoked_reason"];
    assert_eq!(rights("sessions").await?, session);
    assert_eq!(rights("nodes").await?, ["macaroon_sealed"]);
    assert_eq!(rights("idempotency_keys").await?, ["reply_sealed"]);
    assert_eq!(rights("lightning_addresses").await?, ["btcpay_config_sealed", "node_config_sealed"]);
    Ok(())
}

#[tokio::test]
async fn every_column_moves_and_every_value_opens_where_it_stood() -> Result<()> {
    let vault = Vault::new().await?;
    let mut owners = Vec::new();
    for _ in 0..5 {
        owners.push(vault.fill().await?);
    }
    assert_eq!(count_sealed_by(&vault.jobs, 1).await?, 5 * SEALED_COLUMNS.len() as u64);
    for column in SEALED_COLUMNS {
        assert_eq!(count_older(&vault.jobs, column, 2).await?, 5, "{}", column.table);
        let walked = vault.walk(column).await?;
        assert_eq!((walked.resealed, walked.passed_over, walked.unreadable.len()), (5, 0, 0));
        assert_eq!(count_older(&vault.jobs, column, 2).await?, 0);
        for owner in &owners {
            let sealed = vault.get(column, *owner).await?;
            assert!(sealed.starts_with(&beginning(2)));
            let opened = vault.after.open(field(column, &row(column, *owner)), &sealed)?;
            assert_eq!(opened.expose(), text(column, *owner).as_bytes());
        }
    }
    assert_eq!(count_sealed_by(&vault.jobs, 1).await?, 0);
    assert_eq!(count_sealed_by(&vault.jobs, 2).await?, 5 * SEALED_COLUMNS.len() as u64);
    Ok(())
}

#[tokio::test]
async fn what_the_functions_sealed_they_open_after_the_move() -> Result<()> {
    let vault = Vault::new().await?;
    let user_id = vault.fill().await?;
    let mut api = vault.db.connect(Role::Api).await?;
    let key = idempotency::Key { user_id, route: "POST /v1/nodes", key: "a key", fingerprint: [1; 32] };
    let tx = api.transaction().await?;
    act_for(&tx, user_id).await?;
    assert!(matches!(idempotency::begin(&tx, &key, &vault.before, NOW).await, Ok(None)));
    let kept =
        idempotency::finish(&tx, &key, (201, b"the answer"), &vault.before, (NOW, &vault.random)).await;
    assert!(kept.is_ok());
    tx.commit().await?;
    let macaroon = vault.seal(&vault.before, node::macaroon_field(&user_id), "a macaroon")?;
    vault.put(column(Purpose::Macaroon), user_id, &macaroon).await?;

    for column in SEALED_COLUMNS {
        vault.walk(column).await?;
    }

    let tx = api.transaction().await?;
    act_for(&tx, user_id).await?;
    let again = idempotency::begin(&tx, &key, &vault.after, NOW).await;
    assert_eq!(again.ok().flatten().map(|kept| kept.body), Some(b"the answer".to_vec()));
    let moved = vault.get(column(Purpose::Macaroon), user_id).await?;
    assert!(moved.starts_with(&beginning(2)));
    assert_eq!(vault.after.open(node::macaroon_field(&user_id), &moved)?.expose(), b"a macaroon");
    Ok(())
}

#[tokio::test]
async fn a_value_from_elsewhere_is_named_and_left_as_it_is() -> Result<()> {
    let vault = Vault::new().await?;
    let (one, other, third) = (vault.fill().await?, vault.fill().await?, vault.fill().await?);
    for column in SEALED_COLUMNS {
        let (of_one, of_other) = (vault.get(column, one).await?, vault.get(column, other).await?);
        vault.put(column, one, &of_other).await?;
        vault.put(column, other, &of_one).await?;

        let walked = vault.walk(column).await?;

        assert_eq!((walked.resealed, walked.unreadable.len()), (1, 2), "{}.{}", column.table, column.column);
        let mut named: Vec<&str> = walked.unreadable.iter().map(|place| &place[..36]).collect();
        named.sort_unstable();
        let mut swapped = [one.to_string(), other.to_string()];
        swapped.sort_unstable();
        assert_eq!(named, swapped);
        assert_eq!(vault.get(column, one).await?, of_other);
        assert!(vault.get(column, third).await?.starts_with(&beginning(2)), "the others go on");
        assert_eq!(count_older(&vault.jobs, column, 2).await?, 2);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_sealed_value_counts_as_not_moved() -> Result<()> {
    let vault = Vault::new().await?;
    let sessions = column(Purpose::RefreshKey);
    for garbage in [&b""[..], b"\0", b"\x01", b"\x01\0\0\0\x01", &[1; 40], &[0; 99]] {
        let owner = vault.fill().await?;
        vault.put(sessions, owner, garbage).await?;
    }
    // The id is one that nobody has yet, not an older one.
    assert_eq!(count_older(&vault.jobs, sessions, 2).await?, 5);
    assert_eq!(vault.walk(sessions).await?.unreadable.len(), 5);
    Ok(())
}

#[tokio::test]
async fn a_row_somebody_holds_is_neither_waited_for_nor_forgotten() -> Result<()> {
    let vault = Vault::new().await?;
    let (held, free) = (vault.fill().await?, vault.fill().await?);
    let nodes = column(Purpose::Macaroon);
    let mut writer = vault.db.connect(Role::Api).await?;
    let tx = writer.transaction().await?;
    act_for(&tx, held).await?;
    // A request that began before the key settled writes with the old one still.
    let late = vault.seal(&vault.before, node::macaroon_field(&held), "written meanwhile")?;
    let sql = "UPDATE nodes SET macaroon_sealed = $1";
    assert_eq!(tx.execute_typed(sql, &[(&late, Type::BYTEA)]).await?, 1);

    let started = Instant::now();
    let walked = vault.walk(nodes).await?;
    assert_eq!((walked.resealed, walked.passed_over), (1, 1));
    assert!(started.elapsed() < Duration::from_secs(2), "it waited");
    tx.commit().await?;

    assert_eq!(vault.get(nodes, held).await?, late, "the request's write stands");
    assert!(vault.get(nodes, free).await?.starts_with(&beginning(2)));
    assert_eq!(count_older(&vault.jobs, nodes, 2).await?, 1);
    assert_eq!(vault.walk(nodes).await?.resealed, 1);
    let opened = vault.after.open(node::macaroon_field(&held), &vault.get(nodes, held).await?)?;
    assert_eq!(opened.expose(), b"written meanwhile");
    Ok(())
}

#[tokio::test]
async fn a_write_between_reading_and_moving_wins() -> Result<()> {
    let mut vault = Vault::new().await?;
    let (one, other) = (vault.fill().await?, vault.fill().await?);
    let nodes = column(Purpose::Macaroon);
    let late = vault.seal(&vault.before, node::macaroon_field(&one), "written meanwhile")?;
    let (url, written, system) = (vault.db.admin_database_url()?, late.clone(), vault.random.clone());
    // Sealing anew asks for a nonce: by then both rows are read, and neither is moved.
    vault.random = Random::from_fn(move |buffer| {
        let (url, written) = (url.clone(), written.clone());
        let write = async move || {
            let sql = "UPDATE nodes SET macaroon_sealed = $2 WHERE user_id = $1";
            let values = [(&one as &(dyn ToSql + Sync), Type::UUID), (&written, Type::BYTEA)];
            assert_eq!(deployment::connect(&url).await?.execute_typed(sql, &values).await?, 1);
            anyhow::Ok(())
        };
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(write())
        });
        thread.join().unwrap().unwrap();
        buffer.copy_from_slice(&system.bytes::<12>()[..buffer.len()]);
    });

    let batch = vault.step(nodes, None, 9).await?;

    assert_eq!((batch.resealed, batch.passed_over), (1, 1));
    assert_eq!(vault.get(nodes, one).await?, late);
    assert!(vault.get(nodes, other).await?.starts_with(&beginning(2)));
    Ok(())
}

#[tokio::test]
async fn a_change_elsewhere_in_the_row_does_not_stop_its_value_from_moving() -> Result<()> {
    let vault = Vault::new().await?;
    vault.fill().await?;
    let sessions = column(Purpose::RefreshKey);
    let seen = "UPDATE sessions SET last_seen_at = now()";
    vault.admin.batch_execute(seen).await?;
    assert_eq!(vault.walk(sessions).await?.resealed, 1);
    Ok(())
}

#[tokio::test]
async fn how_far_it_came_is_there_for_the_next_run() -> Result<()> {
    let vault = Vault::new().await?;
    for _ in 0..5 {
        vault.fill().await?;
    }
    let nodes = column(Purpose::Macaroon);
    let step = Move { purpose: Purpose::Macaroon, key_id: 2, settled_at: NOW };
    assert!(begin(&vault.jobs, step, NOW).await?);
    assert!(!begin(&vault.jobs, step, NOW).await?, "it is on record");
    let first = vault.step(nodes, None, 2).await?;

    let known = progress(&vault.jobs).await?;
    let known = known.iter().find(|row| row.table == nodes.table).unwrap();
    assert_eq!((known.key_id, &known.reached, known.resealed), (2, &first.reached, 2));
    assert_eq!((known.found_at, known.finished_at), (Some(NOW), None));
    let rest = vault.step(nodes, known.reached.as_deref(), 99).await?;
    assert_eq!(rest.resealed, 3, "what is done is not done again");
    let end = vault.step(nodes, rest.reached.as_deref(), 99).await?;
    assert_eq!((end.reached, end.resealed), (None, 0));
    Ok(())
}

#[tokio::test]
async fn nothing_moves_to_a_key_that_others_may_not_have_yet() -> Result<()> {
    let mut vault = Vault::new().await?;
    vault.fill().await?;
    let young = fresh::sealing_key(
        2,
        &[],
        NOW - time::Duration::minutes(5) + time::Duration::MICROSECOND,
        &vault.random,
    );
    let first = fresh::sealing_key(1, &[], NOW - LONG_AGO, &vault.random);
    vault.before = ring(std::slice::from_ref(&first))?;
    vault.after = ring(&[first, young])?;
    let owner = vault.fill().await?;
    let nodes = column(Purpose::Macaroon);
    let mine = vault.get(nodes, owner).await?;
    vault
        .admin
        .batch_execute(&format!("UPDATE nodes SET macaroon_sealed = NULL WHERE user_id <> '{owner}'"))
        .await?;

    let moved = vault.step(nodes, None, 99).await;

    assert!(matches!(moved, Err(ResealError::NotTheWritingKey)), "{moved:?}");
    assert_eq!(vault.get(nodes, owner).await?, mine);
    Ok(())
}

#[tokio::test]
async fn what_is_unfinished_follows_from_the_keys_and_the_record() -> Result<()> {
    let vault = Vault::new().await?;
    let made = |id, purposes: &[Purpose]| fresh::sealing_key(id, purposes, NOW, &vault.random);
    let all = |key_id: u32| Purpose::ALL.map(|purpose| (purpose, key_id)).to_vec();
    let open = async |ring: &KeyRing| -> Result<Vec<(Purpose, u32)>> {
        let moves = unfinished(ring, &progress(&vault.jobs).await?);
        Ok(moves.iter().map(|step| (step.purpose, step.key_id)).collect())
    };
    let settled: OffsetDateTime = NOW + time::Duration::seconds(300);
    let step = |purpose, key_id| Move { purpose, key_id, settled_at: settled };

    assert_eq!(open(&ring(&[made(1, &[])])?).await?, []);
    let two = ring(&[made(1, &[]), made(2, &[])])?;
    assert_eq!(open(&two).await?, all(2), "a key somebody added is taken up");
    assert_eq!(unfinished(&two, &[])[0], step(Purpose::Macaroon, 2));

    let wallet = ring(&[made(1, &[]), made(2, &[Purpose::Wallet])])?;
    assert_eq!(open(&wallet).await?, [(Purpose::Wallet, 2)]);
    begin(&vault.jobs, step(Purpose::Wallet, 2), NOW).await?;
    assert_eq!(open(&wallet).await?, [(Purpose::Wallet, 2)]);
    let alone = ring(&[made(2, &[])])?;
    assert_eq!(
        open(&alone).await?,
        [(Purpose::Wallet, 2)],
        "the old key went, and the end was not written down"
    );
    finish(&vault.jobs, step(Purpose::Wallet, 2), NOW).await?;
    assert_eq!(open(&wallet).await?, []);
    assert_eq!(open(&alone).await?, []);
    assert_eq!(open(&ring(&[made(1, &[]), made(2, &[Purpose::Wallet]), made(3, &[])])?).await?, all(3));
    Ok(())
}
