//! Locks, sessions, what was mailed, and sign-ins that never came back.

use testing::{Result, World};

use super::{DID, KEY_1, NOTHING, Report, clean, contents, run_sql, texts, wire};

/// A session for each: when it idles out and when it was ended, as ages; an age with a minus is still to come.
async fn put_sessions(world: &World, sessions: &[(&str, &str)]) -> Result<()> {
    let user = world.sign_in(DID, KEY_1).await?;
    let sessions: Vec<String> =
        sessions.iter().map(|(idle, revoked)| format!("('{idle}', '{revoked}')")).collect();
    let sql = format!(
        "INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
             created_at, last_seen_at, idle_expires_at, absolute_expires_at, revoked_at, device_id)
         SELECT gen_random_uuid(), '{}', 'did', '{DID}', '', now(), now(), now(),
                '{now}'::timestamptz - idle::interval, '{now}'::timestamptz + interval '90 days',
                CASE WHEN revoked <> '' THEN '{now}'::timestamptz - NULLIF(revoked, '')::interval END, idle || ' ' || revoked
         FROM (VALUES {}) AS s (idle, revoked)",
        user.user_id,
        sessions.join(", "),
        now = world.now()
    );
    run_sql(world, &sql).await
}

#[tokio::test]
async fn a_session_is_kept_for_its_owner_to_look_at_thirty_days_after_its_end_and_no_longer() -> Result<()> {
    let world = World::start().await?;
    let kept = [("-7 days", ""), ("0", ""), ("30 days", ""), ("-7 days", "0"), ("-7 days", "30 days")];
    put_sessions(&world, &kept).await?;
    let deps = wire(&world).await?;
    assert_eq!(clean(&deps).await?, NOTHING);

    let gone = [
        ("30 days 1 microsecond", ""),
        ("90 days", ""),
        ("-7 days", "30 days 1 microsecond"),
        ("90 days", "1 day"),
    ];
    put_sessions_of_another(&world, &gone).await?;
    assert_eq!(clean(&deps).await?, Report { sessions: 4, ..NOTHING });
    let left = texts(&world, "SELECT device_id FROM sessions WHERE device_id IS NOT NULL ORDER BY 1").await?;
    assert_eq!(left, ["-7 days ", "-7 days 0", "-7 days 30 days", "0 ", "30 days "]);

    let after = contents(&world).await?;
    assert_eq!(clean(&deps).await?, NOTHING);
    assert_eq!(contents(&world).await?, after);
    Ok(())
}

/// For the account that is there.
async fn put_sessions_of_another(world: &World, sessions: &[(&str, &str)]) -> Result<()> {
    for (idle, revoked) in sessions {
        let revoked =
            if revoked.is_empty() { "NULL::interval".to_owned() } else { format!("interval '{revoked}'") };
        let sql = format!(
            "INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                 created_at, last_seen_at, idle_expires_at, absolute_expires_at, revoked_at)
             SELECT gen_random_uuid(), id, 'did', 'x', '', now(), now(), now(),
                    '{now}'::timestamptz - interval '{idle}', '{now}'::timestamptz + interval '90 days',
                    '{now}'::timestamptz - {revoked}
             FROM users",
            now = world.now()
        );
        run_sql(world, &sql).await?;
    }
    Ok(())
}

#[tokio::test]
async fn tokens_and_sign_ins_under_way_go_when_they_have_expired_and_no_sooner() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    let sql = format!(
        "INSERT INTO one_time_tokens (hash, user_id, purpose, email, created_at, expires_at)
         SELECT sha256(age::bytea), '{user}', 'reset_password', 'a@example.com', now(), '{now}'::timestamptz - age::interval
         FROM (VALUES ('-1 hour'), ('-1 microsecond'), ('0'), ('1 microsecond'), ('1 day')) AS a (age);
         INSERT INTO oauth_states (hash, cookie_hash, redirect_uri, created_at, expires_at)
         SELECT sha256(age::bytea), sha256('x'), 'https://app.example.com', now(), '{now}'::timestamptz - age::interval
         FROM (VALUES ('-10 minutes'), ('0'), ('1 microsecond'), ('2 days'), ('3 days')) AS a (age)",
        user = user.user_id,
        now = world.now()
    );
    run_sql(&world, &sql).await?;
    let deps = wire(&world).await?;

    assert_eq!(clean(&deps).await?, Report { one_time_tokens: 2, oauth_states: 3, ..NOTHING });
    assert_eq!(clean(&deps).await?, NOTHING);
    assert_eq!(world.db.count("SELECT count(*) FROM one_time_tokens").await?, 3);
    assert_eq!(world.db.count("SELECT count(*) FROM oauth_states").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_mail_goes_thirty_days_after_it_was_sent_or_given_up_and_one_that_waits_stays() -> Result<()> {
    let world = World::start().await?;
    let sql = format!(
        "INSERT INTO mails (id, kind, state, content_sealed, due_at, created_at, finished_at)
         SELECT gen_random_uuid(), 'verify_email', state, CASE state WHEN 'waiting' THEN 'sealed'::bytea END, now(),
                '{now}'::timestamptz - interval '1 year',
                CASE WHEN state <> 'waiting' THEN '{now}'::timestamptz - age::interval END
         FROM (VALUES ('0'), ('30 days'), ('30 days 1 microsecond'), ('1 year')) AS a (age),
              (VALUES ('waiting'), ('sent'), ('dead')) AS s (state)",
        now = world.now()
    );
    run_sql(&world, &sql).await?;
    let deps = wire(&world).await?;

    assert_eq!(clean(&deps).await?, Report { mails: 4, ..NOTHING });
    assert_eq!(clean(&deps).await?, NOTHING);
    assert_eq!(world.db.count("SELECT count(*) FROM mails WHERE state = 'waiting'").await?, 4);
    Ok(())
}

/// Whoever took a lock went by the database's clock, whatever ours says.
#[tokio::test]
async fn a_lock_that_ended_goes_by_the_clock_of_the_database() -> Result<()> {
    let world = World::start().await?;
    let put = "INSERT INTO distributed_locks (name, token, expires_at)
               SELECT age, 1, now() - age::interval
               FROM (VALUES ('-8 seconds'), ('1 second'), ('2 hours'), ('1 year')) AS a (age)";
    run_sql(&world, put).await?;
    world.advance(time::Duration::days(4_000));
    let deps = wire(&world).await?;

    assert_eq!(clean(&deps).await?, Report { locks: 2, ..NOTHING });
    assert_eq!(clean(&deps).await?, NOTHING);
    assert_eq!(
        texts(&world, "SELECT name FROM distributed_locks ORDER BY expires_at").await?,
        ["1 second", "-8 seconds"]
    );
    Ok(())
}

#[tokio::test]
async fn two_at_once_remove_thousands_of_sessions_once_each() -> Result<()> {
    let world = World::start().await?;
    world.sign_in(DID, KEY_1).await?;
    let kept = contents(&world).await?;
    let sql = format!(
        "INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
             created_at, last_seen_at, idle_expires_at, absolute_expires_at)
         SELECT gen_random_uuid(), id, 'did', 'x', '', now(), now(), now(),
                '{now}'::timestamptz - interval '31 days', '{now}'::timestamptz
         FROM users, generate_series(1, 12000)",
        now = world.now()
    );
    run_sql(&world, &sql).await?;

    let (first, second) = (wire(&world).await?, wire(&world).await?);
    let (first, second) = tokio::join!(clean(&first), clean(&second));

    assert_eq!(first?.sessions + second?.sessions, 12_000);
    assert_eq!(contents(&world).await?, kept);
    Ok(())
}
