//! Accounts that were deleted a while ago.

use shared::audit::{self, AuditDocument, AuditKey};
use shared::db::Type;
use shared::random::Random;
use testing::{Result, World};
use uuid::Uuid;

use super::{NOTHING, Report, clean, contents, run_sql, texts, wire};

/// Where something of an account stands, and whether it is there once the account was erased.
const EVERYWHERE: [(&str, bool); 17] = [
    ("users WHERE id = $1", true),
    (
        "users WHERE id = $1 AND num_nonnulls(username, display_name, last_login_at, last_active_at) > 0",
        false,
    ),
    ("identities WHERE user_id = $1 AND retired_at IS NULL", false),
    ("identities WHERE user_id = $1 AND retired_at IS NOT NULL", true),
    ("passwords WHERE user_id = $1", false),
    ("one_time_tokens WHERE user_id = $1", false),
    ("oauth_states WHERE user_id = $1", false),
    ("mails WHERE user_id = $1", false),
    ("wallets WHERE user_id = $1", false),
    ("notification_preferences WHERE user_id = $1", false),
    ("admins WHERE user_id = $1", false),
    ("sessions WHERE user_id = $1", false),
    ("nodes WHERE user_id = $1", false),
    ("idempotency_keys WHERE user_id = $1", false),
    ("challenges WHERE user_id = $1", false),
    ("activity_logs WHERE user_id = $1", false),
    ("payments WHERE user_id = $1", true),
];

/// An account with something of its own everywhere, deleted that long ago; `None` is not.
pub async fn put_account(world: &World, deleted: Option<&str>) -> Result<Uuid> {
    let id = Random::system().id(world.now());
    let now = world.now();
    let deleted = deleted.map_or("NULL".to_owned(), |age| format!("'{now}'::timestamptz - interval '{age}'"));
    let sql = format!(
        "INSERT INTO users (id, username, display_name, created_at, updated_at, last_login_at, last_active_at, deleted_at)
             VALUES ('{id}', 'canary', 'Canary', '{now}', '{now}', '{now}', '{now}', {deleted});
         INSERT INTO identities (user_id, kind, subject, created_at, retired_at, label) VALUES
             ('{id}', 'did', 'did {id}', now(), NULL, NULL), ('{id}', 'node', 'node {id}', now(), now(), NULL),
             ('{id}', 'email', '{id}@example.com', now(), NULL, NULL), ('{id}', 'discord', '{id}', now(), NULL, 'Canary');
         INSERT INTO passwords VALUES ('{id}', '$argon2id$v=19$x', now());
         INSERT INTO one_time_tokens VALUES (sha256('{id}'), '{id}', 'verify_email', 'canary@example.com', now(), 'infinity');
         INSERT INTO oauth_states VALUES (sha256('{id}'), sha256('{id}'), '{id}', 'x', now(), 'infinity');
         INSERT INTO mails (id, user_id, kind, state, content_sealed, due_at, created_at)
             VALUES ('{id}', '{id}', 'verify_email', 'waiting', 'x', now(), now());
         INSERT INTO wallets VALUES ('{id}', 'wallet {id}', now(), now());
         INSERT INTO notification_preferences VALUES ('{id}', true, true, true, true, true, true, 1, now());
         INSERT INTO admins VALUES ('{id}', now());
         INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at, created_at,
                 last_seen_at, idle_expires_at, absolute_expires_at, revoked_at, push_token_sealed, ip, user_agent)
             VALUES (gen_random_uuid(), '{id}', 'did', 'x', 'x', now(), now(), now(), 'infinity', 'infinity', '{now}', 'x',
                     '203.0.113.7', 'canary');
         INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, macaroon_sealed, created_at, updated_at)
             VALUES ('{id}', 'x', '{id}', '02' || encode(sha256('{id}'), 'hex'), 'https://canary.example.com', 'x', now(),
                     now());
         INSERT INTO idempotency_keys (user_id, route, key, fingerprint, created_at, expires_at)
             VALUES ('{id}', 'x', 'x', 'x', now(), 'infinity');
         INSERT INTO challenges (id, did, challenge_type, title, user_id, new_pubkey, issued_at, expires_at)
             VALUES ('{id}', 'x', 'node_link', 'x', '{id}', 'x', now(), 'infinity');
         INSERT INTO activity_logs (id, user_id, action, details, created_at)
             SELECT gen_random_uuid(), '{id}', 'x', '{{}}', '{now}'::timestamptz - n * interval '1 hour'
             FROM generate_series(1, 50) n;
         INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
             VALUES ('{id}', '{id}', 'stripe', '', 'usd', 1, now(), now());"
    );
    run_sql(world, &sql).await?;
    Ok(id)
}

/// Where something of the account is, by the place in [`EVERYWHERE`].
async fn places(world: &World, id: Uuid) -> Result<Vec<bool>> {
    let (admin, mut places) = (world.db.admin().await?, Vec::new());
    for (place, _) in EVERYWHERE {
        let rows = admin.query_typed(&format!("SELECT 1 FROM {place}"), &[(&id, Type::UUID)]).await?;
        places.push(!rows.is_empty());
    }
    Ok(places)
}

fn all_there() -> Vec<bool> {
    vec![true; EVERYWHERE.len()]
}

fn erased() -> Vec<bool> {
    EVERYWHERE.iter().map(|(_, stays)| *stays).collect()
}

#[tokio::test]
async fn what_is_personal_goes_thirty_days_after_the_account_was_deleted_and_no_sooner() -> Result<()> {
    let world = World::start().await?;
    let mut kept = Vec::new();
    for deleted in [None, Some("0"), Some("30 days")] {
        kept.push(put_account(&world, deleted).await?);
    }
    let mut gone = [
        put_account(&world, Some("30 days 1 microsecond")).await?,
        put_account(&world, Some("1 year")).await?,
    ];
    for id in kept.iter().chain(&gone) {
        assert_eq!(places(&world, *id).await?, all_there(), "put something everywhere, or nothing is tested");
    }
    let deps = wire(&world).await?;

    assert_eq!(clean(&deps).await?, Report { accounts: 2, ..NOTHING });
    for id in &kept {
        assert_eq!(places(&world, *id).await?, all_there());
    }
    for id in &gone {
        assert_eq!(places(&world, *id).await?, erased());
    }
    gone.sort_unstable();
    let erased = "SELECT id::text FROM users WHERE erased_at = updated_at AND version = 2 ORDER BY id";
    assert_eq!(texts(&world, erased).await?, gone.map(|id| id.to_string()));

    let after = contents(&world).await?;
    assert_eq!(clean(&deps).await?, NOTHING);
    assert_eq!(contents(&world).await?, after);
    Ok(())
}

#[tokio::test]
async fn each_erasure_is_audited_in_the_accounts_chain() -> Result<()> {
    let world = World::start().await?;
    let id = put_account(&world, Some("31 days")).await?;
    clean(&wire(&world).await?).await?;

    let row = "SELECT concat_ws(' ', chain, action, resource_type, resource_id, request_id, details) FROM audit_logs";
    assert_eq!(texts(&world, row).await?, [format!("{id} account.erased user {id} clean_up {{}}")]);
    let document: AuditDocument = serde_json::from_value(deployment_secret(&world, "satchel/audit")?)?;
    let key = AuditKey::try_from(document).map_err(anyhow::Error::msg)?;
    let client = world.db.connect(shared::db::roles::Role::Jobs).await?;
    assert!(audit::verify(&client, &key).await?.is_ok());
    Ok(())
}

fn deployment_secret(world: &World, name: &str) -> Result<serde_json::Value> {
    let text = world.sandbox.secrets().get(name).unwrap_or_default();
    Ok(serde_json::from_str(&text)?)
}

/// Whoever it was may sign in as somebody new, and register the same node.
#[tokio::test]
async fn what_is_erased_is_free_to_be_somebodys_again_but_what_was_retired() -> Result<()> {
    let world = World::start().await?;
    let id = put_account(&world, Some("31 days")).await?;
    clean(&wire(&world).await?).await?;
    let again = format!(
        "INSERT INTO users (id, created_at, updated_at) VALUES ('00000000-0000-0000-0000-000000000007', now(), now());
         INSERT INTO identities (user_id, kind, subject, created_at)
             SELECT '00000000-0000-0000-0000-000000000007', kind, subject, now()
             FROM (VALUES ('did', 'did {id}'), ('email', '{id}@example.com'), ('discord', '{id}')) AS i (kind, subject);
         INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, created_at, updated_at)
             VALUES ('00000000-0000-0000-0000-000000000007', 'x', '{id}', '02' || encode(sha256('{id}'), 'hex'),
                     'https://canary.example.com', now(), now())"
    );
    run_sql(&world, &again).await?;
    let retired = format!(
        "INSERT INTO identities (user_id, kind, subject, created_at)
         VALUES ('00000000-0000-0000-0000-000000000007', 'node', 'node {id}', now())"
    );
    assert!(run_sql(&world, &retired).await.is_err());
    Ok(())
}

#[tokio::test]
async fn two_at_once_erase_each_account_once() -> Result<()> {
    let world = World::start().await?;
    for _ in 0..20 {
        put_account(&world, Some("31 days")).await?;
    }
    let (first, second) = (wire(&world).await?, wire(&world).await?);
    let (first, second) = tokio::join!(clean(&first), clean(&second));

    assert_eq!(first?.accounts + second?.accounts, 20);
    let audited = "SELECT count(*) FROM audit_logs WHERE action = 'account.erased'";
    assert_eq!(world.db.count(audited).await?, 20);
    assert_eq!(world.db.count("SELECT count(*) FROM users WHERE erased_at IS NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_account_that_did_a_lot_is_erased_in_parts_and_whole_in_the_end() -> Result<()> {
    let world = World::start().await?;
    let id = put_account(&world, Some("31 days")).await?;
    let many = format!(
        "INSERT INTO activity_logs (id, user_id, action, details, created_at)
         SELECT gen_random_uuid(), '{id}', 'x', '{{}}', '{}' FROM generate_series(1, 25000)",
        world.now()
    );
    run_sql(&world, &many).await?;
    // Somebody else has it in hand: it is neither waited for nor forgotten.
    let mut admin = world.db.admin().await?;
    let held = admin.transaction().await?;
    held.batch_execute("SELECT FROM users FOR UPDATE").await?;
    let deps = wire(&world).await?;
    assert_eq!(clean(&deps).await?, NOTHING);
    held.rollback().await?;

    assert_eq!(clean(&deps).await?, Report { accounts: 1, ..NOTHING });
    assert_eq!(places(&world, id).await?, erased());
    Ok(())
}

#[tokio::test]
async fn without_the_key_of_the_audit_log_nothing_is_erased_and_the_rest_is_cleaned() -> Result<()> {
    let world = World::start().await?;
    let id = put_account(&world, Some("31 days")).await?;
    super::put_challenges(&world, &["25 hours"]).await?;
    run_sql(&world, "REVOKE INSERT ON audit_logs FROM satchel_jobs").await?;
    let deps = wire(&world).await?;

    assert!(clean(&deps).await.is_err());
    assert_eq!(places(&world, id).await?, all_there());
    assert_eq!(world.db.count("SELECT count(*) FROM challenges WHERE user_id IS NULL").await?, 0);
    Ok(())
}

/// From here erasing this account fails, as it would on a row nobody thought of.
pub async fn spoil(world: &World, id: Uuid) -> Result<()> {
    let sql = format!(
        "CREATE FUNCTION spoilt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'spoilt'; END $$;
         CREATE TRIGGER spoilt BEFORE UPDATE ON users FOR EACH ROW WHEN (NEW.id = '{id}') EXECUTE FUNCTION spoilt()"
    );
    run_sql(world, &sql).await
}

#[tokio::test]
async fn an_account_that_cannot_be_erased_keeps_no_other_and_fails_the_run() -> Result<()> {
    let world = World::start().await?;
    let first = put_account(&world, Some("34 days")).await?;
    // Deleted in the same moment, of which the second goes by its id.
    let (one, spoilt, last) = (
        put_account(&world, Some("33 days")).await?,
        put_account(&world, Some("33 days")).await?,
        put_account(&world, Some("33 days")).await?,
    );
    let late = put_account(&world, Some("31 days")).await?;
    spoil(&world, spoilt).await?;
    let deps = wire(&world).await?;

    for _ in 0..2 {
        let failed = clean(&deps).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(failed.contains("could not be erased") && failed.contains("spoilt"), "{failed}");
        for id in [first, one, last, late] {
            assert_eq!(places(&world, id).await?, erased());
        }
        assert_eq!(places(&world, spoilt).await?, all_there(), "nothing of it, or all of it");
    }

    run_sql(&world, "DROP TRIGGER spoilt ON users").await?;
    assert_eq!(clean(&deps).await?, Report { accounts: 1, ..NOTHING });
    assert_eq!(places(&world, spoilt).await?, erased());
    Ok(())
}
