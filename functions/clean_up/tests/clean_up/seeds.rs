//! Seeds that were handed over, and those that were not.

use testing::{Result, World};

use super::{NOTHING, Report, clean, contents, run_sql, texts, wire};

/// A setup with sealed secrets for each account named, its seed handed over as long ago as given; `None` is not yet.
async fn put_seeds(world: &World, ages: &[(&str, Option<&str>)]) -> Result<()> {
    for (name, age) in ages {
        let handed_over =
            age.map_or("NULL".into(), |age| format!("'{}'::timestamptz - '{age}'::interval", world.now()));
        let sql = format!(
            "WITH owner AS (
                 INSERT INTO users (id, created_at, updated_at) VALUES (gen_random_uuid(), now(), now()) RETURNING id),
             setup AS (
                 INSERT INTO lightning_setups
                     (id, user_id, username, address, node_source, state, step, due_at, created_at, updated_at)
                 SELECT gen_random_uuid(), id, '{name}', '{name}@pay.example.com', 'voltage', 'running', 'activate',
                        now(), now(), now()
                 FROM owner RETURNING id, user_id)
             INSERT INTO lightning_setup_secrets
                 (setup_id, user_id, password_sealed, root_key_sealed, seed_sealed, seed_handed_over_at)
             SELECT id, user_id, 'password', 'root key', 'seed', {handed_over} FROM setup"
        );
        run_sql(world, &sql).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_seed_goes_a_minute_after_it_was_handed_over_and_nothing_else_goes_with_it() -> Result<()> {
    let world = World::start().await?;
    let seeds = [
        ("kept", None),
        ("just-now", Some("0 seconds")),
        ("a-minute-ago", Some("60 seconds")),
        ("longer-ago", Some("60.000001 seconds")),
        ("long-ago", Some("400 days")),
    ];
    put_seeds(&world, &seeds).await?;
    let deps = wire(&world).await?;

    assert_eq!(clean(&deps).await?, Report { seeds: 2, ..NOTHING });
    let after = contents(&world).await?;
    assert_eq!(clean(&deps).await?, NOTHING);
    assert_eq!(contents(&world).await?, after);

    let left = "SELECT s.username FROM lightning_setups s JOIN lightning_setup_secrets k ON k.setup_id = s.id
                WHERE k.seed_sealed IS NOT NULL ORDER BY s.username";
    assert_eq!(texts(&world, left).await?, ["a-minute-ago", "just-now", "kept"]);
    let others =
        "SELECT count(*) FROM lightning_setup_secrets WHERE num_nulls(password_sealed, root_key_sealed) = 0";
    assert_eq!(world.db.count(others).await?, 5);
    Ok(())
}
