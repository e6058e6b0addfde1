//! `/v1/notifications/preferences/{userId}`

use notification_preferences::{Deps, handle};
use proptest::prelude::*;
use serde_json::{Value, json};
use testing::{Call, Outcome, Result, SignedIn, World, binary};

const NAME: &str = "notification_preferences";
const PATH: &str = "/v1/notifications/preferences/{userId}";
const TOPICS: [&str; 3] = ["payments", "sessions", "news"];

struct Scene {
    world: World,
    deps: Deps,
    alice: SignedIn,
    bob: SignedIn,
    admin: SignedIn,
}

impl Scene {
    async fn new() -> Result<Self> {
        let world = World::start().await?;
        let changed = [("RATE_LIMIT_PER_SESSION", "1000000"), ("DATABASE_POOL_SIZE", "16")];
        let deps = world.wire_with(NAME, &changed, Deps::wire).await?;
        let user = async |name: &str, digit: &str| -> Result<SignedIn> {
            world.sign_in(&format!("did:mnemonic:{}", digit.repeat(16)), &world.node(name)?.pubkey).await
        };
        let (alice, bob, admin) =
            (user("alice", "0").await?, user("bob", "1").await?, user("admin", "2").await?);
        let admin = world.make_admin(&admin, &world.node("again")?.pubkey).await?;
        Ok(Self { world, deps, alice, bob, admin })
    }

    async fn send(&self, call: &Call) -> Result<Outcome> {
        Outcome::of(handle(&self.deps, call.request()).await)
    }

    async fn sql(&self, statement: &str) -> Result<()> {
        Ok(self.world.db.admin().await?.batch_execute(statement).await?)
    }
}

fn of(method: &str, whose: &SignedIn, by: &SignedIn) -> Call {
    Call::new(&format!("{method} {PATH}")).path("userId", &whose.user_id.to_string()).bearer(&by.access_token)
}

fn reset(whose: &SignedIn, by: &SignedIn) -> Call {
    let route = format!("POST {PATH}/reset");
    Call::new(&route).path("userId", &whose.user_id.to_string()).bearer(&by.access_token)
}

fn defaults() -> Value {
    json!({ "payments": true, "sessions": true, "news": false })
}

#[tokio::test]
async fn who_never_said_anything_has_the_defaults() -> Result<()> {
    let scene = Scene::new().await?;
    let event = Call::from_event(NAME)?.path("userId", &scene.alice.user_id.to_string());
    let answer = scene.send(&event.bearer(&scene.alice.access_token)).await?;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"v0\"")), "{answer:?}");
    assert_eq!(
        answer.body,
        json!({ "email": defaults(), "push": defaults(), "version": 0, "updatedAt": null })
    );
    Ok(())
}

#[tokio::test]
async fn what_is_named_changes_and_the_rest_stays() -> Result<()> {
    let scene = Scene::new().await?;
    let put = |body: Value| of("PUT", &scene.alice, &scene.alice).json(&body);
    let first = scene.send(&put(json!({ "email": { "news": true }, "version": 0 }))).await?;
    assert_eq!((first.status.as_u16(), first.header("etag")), (200, Some("\"v1\"")), "{first:?}");
    let second =
        scene.send(&put(json!({ "push": { "payments": false } })).header("if-match", "\"v1\"")).await?;
    assert_eq!(second.body["email"], json!({ "payments": true, "sessions": true, "news": true }));
    assert_eq!(second.body["push"], json!({ "payments": false, "sessions": true, "news": false }));
    assert_eq!(second.body["updatedAt"], "2026-01-09T12:00:00Z");
    for stale in [0, 1, 3] {
        let answer = scene.send(&put(json!({ "email": { "news": false }, "version": stale }))).await?;
        assert_eq!(answer.refusal()?, (409, "VERSION_CONFLICT"), "{stale}");
    }
    let whatever = scene.send(&put(json!({ "email": { "sessions": false } }))).await?;
    assert_eq!((whatever.status.as_u16(), &whatever.body["version"]), (200, &json!(3)));
    let back = scene.send(&reset(&scene.alice, &scene.alice).header("if-match", "\"v3\"")).await?;
    assert_eq!(
        (&back.body["email"], &back.body["push"], &back.body["version"]),
        (&defaults(), &defaults(), &json!(4))
    );
    let late = scene.send(&reset(&scene.alice, &scene.alice).json(&json!({ "version": 3 }))).await?;
    assert_eq!(late.refusal()?, (409, "VERSION_CONFLICT"));
    assert_eq!(scene.send(&of("GET", &scene.alice, &scene.admin)).await?.body, back.body);
    Ok(())
}

#[tokio::test]
async fn a_version_of_nothing_makes_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let put = of("PUT", &scene.alice, &scene.alice).json(&json!({ "version": 7 }));
    assert_eq!(scene.send(&put).await?.refusal()?, (409, "VERSION_CONFLICT"));
    assert_eq!(scene.world.db.count("SELECT count(*) FROM notification_preferences").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_administrator_s_change_of_somebody_else_s_is_audited_there_and_one_s_own_is_not() -> Result<()> {
    let scene = Scene::new().await?;
    let change = json!({ "email": { "news": true } });
    let stale = json!({ "email": { "news": false }, "version": 7 });
    for (call, status) in [
        (of("PUT", &scene.alice, &scene.alice).json(&change), 200),
        (of("PUT", &scene.admin, &scene.admin).json(&change), 200),
        (reset(&scene.admin, &scene.admin), 200),
        (of("GET", &scene.alice, &scene.admin), 200),
        (of("PUT", &scene.alice, &scene.admin).json(&stale), 409),
    ] {
        assert_eq!(scene.send(&call).await?.status, status);
    }
    assert_eq!(scene.world.db.count("SELECT count(*) FROM audit_logs").await?, 0);

    for call in [of("PUT", &scene.alice, &scene.admin).json(&change), reset(&scene.alice, &scene.admin)] {
        assert_eq!(scene.send(&call).await?.status, 200);
    }
    let audited = format!(
        "SELECT count(*) FROM audit_logs WHERE action = 'preferences.changed' AND chain = '{alice}'
         AND user_id = '{alice}' AND details ->> 'by' = '{}'",
        scene.admin.user_id,
        alice = scene.alice.user_id
    );
    assert_eq!(scene.world.db.count(&audited).await?, 2);
    Ok(())
}

#[tokio::test]
async fn they_are_the_owner_s_and_administrators_only() -> Result<()> {
    let scene = Scene::new().await?;
    let change = json!({ "email": { "news": true } });
    for call in [
        of("GET", &scene.alice, &scene.bob),
        of("PUT", &scene.alice, &scene.bob),
        reset(&scene.alice, &scene.bob),
    ] {
        assert_eq!(scene.send(&call.clone().json(&change)).await?.refusal()?, (403, "FORBIDDEN"));
        assert_eq!(scene.send(&call.bearer("x").json(&change)).await?.refusal()?, (401, "UNAUTHENTICATED"));
    }
    assert_eq!(scene.world.db.count("SELECT count(*) FROM notification_preferences").await?, 0);
    let by_admin = scene.send(&of("PUT", &scene.alice, &scene.admin).json(&change)).await?;
    assert_eq!((by_admin.status.as_u16(), &by_admin.body["email"]["news"]), (200, &json!(true)));
    let nobody = "019b9f5e-5c00-7000-8000-000000000001";
    for method in ["GET", "PUT"] {
        let call = Call::new(&format!("{method} {PATH}")).path("userId", nobody).json(&change);
        let answer = scene.send(&call.bearer(&scene.admin.access_token)).await?;
        assert_eq!(answer.refusal()?, (404, "NOT_FOUND"), "{method}");
    }
    scene.sql("UPDATE users SET deleted_at = now()").await?;
    let of_deleted = scene.send(&of("PUT", &scene.alice, &scene.admin).json(&change)).await?;
    assert_eq!(of_deleted.refusal()?, (403, "ACCOUNT_DELETED"));
    Ok(())
}

#[tokio::test]
async fn what_is_no_choice_is_named() -> Result<()> {
    let scene = Scene::new().await?;
    for (body, field) in [
        (json!({ "email": { "news": "yes" } }), "email.news"),
        (json!({ "push": 1 }), "push"),
        (json!({ "version": "1" }), "version"),
    ] {
        let answer = scene.send(&of("PUT", &scene.alice, &scene.alice).json(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields(), [field]);
    }
    let bad = Call::new(&format!("GET {PATH}")).path("userId", "me").bearer(&scene.alice.access_token);
    assert_eq!(scene.send(&bad).await?.fields(), ["userId"]);
    Ok(())
}

#[tokio::test]
async fn two_who_change_different_things_at_once_both_have_their_way() -> Result<()> {
    let scene = Scene::new().await?;
    let puts = TOPICS.map(|topic| {
        of("PUT", &scene.alice, &scene.alice).json(&json!({ "push": { topic: topic == "news" } }))
    });
    let answers = futures_util::future::join_all(puts.iter().map(|put| scene.send(put))).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|answer| answer.status == 200)));
    let after = scene.send(&of("GET", &scene.alice, &scene.alice)).await?;
    assert_eq!(after.body["push"], json!({ "payments": false, "sessions": false, "news": true }));
    assert_eq!(after.body["version"], 3);
    Ok(())
}

/// What comes of any changes in a row is what a model without a database says.
#[test]
fn preferences_are_the_defaults_with_the_changes_laid_over_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scene = runtime.block_on(Scene::new()).unwrap();
    let model = std::cell::RefCell::new((defaults(), defaults(), 0_i64));
    let subset =
        || proptest::collection::btree_map(proptest::sample::select(&TOPICS[..]), any::<bool>(), 0..=3);
    let cases = (subset(), subset(), proptest::option::of(-1_i64..=1), proptest::bool::weighted(0.1));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(120));
    runner
        .run(&cases, |(email, push, off, is_reset)| {
            let mut model = model.borrow_mut();
            let version = off.map(|off| model.2 + off);
            let call = if is_reset {
                reset(&scene.alice, &scene.alice).json(&json!({ "version": version }))
            } else {
                of("PUT", &scene.alice, &scene.alice)
                    .json(&json!({ "email": email, "push": push, "version": version }))
            };
            let answer = runtime.block_on(scene.send(&call)).unwrap();
            if off.is_none_or(|off| off == 0) {
                if is_reset {
                    (model.0, model.1) = (defaults(), defaults());
                } else {
                    for (topic, value) in &email {
                        model.0[*topic] = json!(value);
                    }
                    for (topic, value) in &push {
                        model.1[*topic] = json!(value);
                    }
                }
                model.2 += 1;
            } else {
                prop_assert_eq!(answer.status.as_u16(), 409);
            }
            let after = runtime.block_on(scene.send(&of("GET", &scene.alice, &scene.alice))).unwrap();
            prop_assert_eq!(&after.body["email"], &model.0);
            prop_assert_eq!(&after.body["push"], &model.1);
            prop_assert_eq!(&after.body["version"], &json!(model.2));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn the_binary_answers_as_the_handler_does() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let alice = world.sign_in("did:mnemonic:0f1e2d3c4b5a6978", &world.node("node12")?.pubkey).await?;
    let api = world.binary(env!("CARGO_BIN_EXE_notification_preferences"), NAME).await?;
    let put = of("PUT", &alice, &alice).json(&json!({ "email": { "news": true } }));
    assert_eq!(binary::call(&api, &put).await?.body["email"]["news"], true);
    let answer = binary::call(&api, &of("GET", &alice, &alice)).await?;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, Some("\"v1\"")), "{answer:?}");
    Ok(())
}
