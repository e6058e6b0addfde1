//! `GET /v1/users/{id}/export`

use serde_json::{Value, json};
use testing::Result;
use testing::world::SignedIn;

use super::{Scene, part};

fn export(whose: &SignedIn, by: &SignedIn) -> testing::Call {
    part("GET", "/v1/users/{id}/export", whose, by)
}

/// Rows of every kind for the account, `many` of what grows.
async fn furnish(scene: &Scene, user: &SignedIn, many: u32) -> Result<()> {
    let id = user.user_id;
    scene
        .sql(&format!(
            "INSERT INTO wallets VALUES ('{id}', 'wallet-of-{id}', NULL, now());
             INSERT INTO notification_preferences VALUES ('{id}', true, true, true, false, false, false, 3, now());
             INSERT INTO activity_logs (id, user_id, action, details, created_at)
                 SELECT gen_random_uuid(), '{id}', 'opened', jsonb_build_object('nth', n, 'of', '{id}'),
                        '2026-01-01'::timestamptz + n * interval '1 second'
                 FROM generate_series(1, {many}) n;
             INSERT INTO invoices (id, user_id, btcpay_store_id, amount_msat, memo, expiry_seconds, state,
                                   leased_until, lease_token, created_at, updated_at)
                 SELECT gen_random_uuid(), '{id}', 's', 1000, 'memo', 60, 'refused', now(), 1, now(), now()
                 FROM generate_series(1, 3);
             INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
                 SELECT gen_random_uuid(), '{id}', 'stripe', '', 'eur', n, now(), now()
                 FROM generate_series(1, {many}) n;
             INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, macaroon_sealed, created_at, updated_at)
                 SELECT '{id}', 'd', 'n-' || left('{id}', 40), subject, 'https://n.example', 'sealed', now(), now()
                 FROM identities WHERE user_id = '{id}' AND kind = 'node';
             INSERT INTO subscriptions (provider, account, subscription_id, user_id, status, finality, seen_at, rank,
                                        created_at, updated_at)
                 VALUES ('stripe', '', 'sub-{id}', '{id}', 'active', 0, now(), 0, now(), now())"
        ))
        .await
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn an_export_holds_everything_of_the_account_and_nothing_of_another() -> Result<()> {
    let scene = Scene::new().await?;
    furnish(&scene, &scene.alice, 5).await?;
    furnish(&scene, &scene.bob, 7).await?;
    for by in [&scene.alice, &scene.admin] {
        let answer = scene.send(&export(&scene.alice, by)).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = &answer.body;
        assert_eq!(body["user"]["id"], json!(scene.alice.user_id));
        assert_eq!(count(&body["user"]["wallets"]), 1);
        assert_eq!((count(&body["identities"]), count(&body["subscriptions"])), (2, 1));
        assert_eq!(body["preferences"]["version"], 3);
        assert_eq!(body["lightning"]["nodeEndpoint"], "https://n.example");
        for (section, rows) in [("sessions", 1), ("activityLogs", 5), ("invoices", 3), ("payments", 5)] {
            assert_eq!(count(&body[section]["items"]), rows, "{section}");
            assert_eq!(body[section]["nextCursor"], json!(null), "{section}");
        }
        assert!(!answer.reply.body.contains(&scene.bob.user_id.to_string()), "{answer:?}");
    }
    let audited = format!("audit_logs WHERE action = 'user.exported' AND chain = '{}'", scene.alice.user_id);
    assert_eq!((scene.rows(&audited).await?, scene.rows("audit_logs").await?), (2, 2));
    Ok(())
}

#[tokio::test]
async fn nothing_sealed_and_no_hash_leaves_in_an_export() -> Result<()> {
    let scene = Scene::new().await?;
    furnish(&scene, &scene.alice, 1).await?;
    let answer = scene.send(&export(&scene.alice, &scene.alice)).await?;
    for word in ["sealed", "Sealed", "macaroon", "hash", "token", "refreshKey", "password"] {
        assert!(!answer.reply.body.contains(word), "{word}: {}", answer.reply.body);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_long_is_read_to_its_end_page_by_page() -> Result<()> {
    let scene = Scene::new().await?;
    furnish(&scene, &scene.alice, 450).await?;
    let whole = scene.send(&export(&scene.alice, &scene.alice)).await?;
    for section in ["activityLogs", "payments"] {
        let mut ids: Vec<String> = Vec::new();
        let mut page = whole.body[section].clone();
        loop {
            let items = page["items"].as_array().cloned().unwrap_or_default();
            ids.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            let query = format!("section={section}&limit=200&cursor={cursor}");
            page = scene.send(&export(&scene.alice, &scene.alice).query(&query)).await?.body;
        }
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!((ids.len(), distinct.len()), (450, 450), "{section}");
    }
    for (query, field) in [
        ("section=passwords", "section"),
        ("cursor=AAAA", "section"),
        ("section=payments&cursor=x", "cursor"),
    ] {
        let answer = scene.send(&export(&scene.alice, &scene.alice).query(query)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{query}");
        assert_eq!(answer.fields(), [field]);
    }
    Ok(())
}

#[tokio::test]
async fn the_largest_export_is_small_enough_to_be_answered() -> Result<()> {
    let scene = Scene::new().await?;
    furnish(&scene, &scene.alice, 210).await?;
    scene
        .sql(
            "UPDATE activity_logs SET details = jsonb_build_object('x', repeat('\u{1}', 1300));
             UPDATE invoices SET memo = repeat('x', 639)",
        )
        .await?;
    let answer = scene.send(&export(&scene.alice, &scene.alice)).await?;
    let bytes = answer.reply.body.len();
    assert!((1_000_000..4_000_000).contains(&bytes), "{bytes}");
    Ok(())
}
