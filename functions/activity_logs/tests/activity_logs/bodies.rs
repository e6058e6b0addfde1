//! Actions and details of every sort.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};
use testing::{Result, World};

use super::{append, send, user};

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_its_field() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let mut nested = json!("\0");
    for _ in 0..60 {
        nested = json!([{ "in": nested }]);
    }
    for (body, field) in [
        (json!({}), "action"),
        (json!({ "action": "" }), "action"),
        (json!({ "action": "x".repeat(65) }), "action"),
        (json!({ "action": "a\0b" }), "action"),
        (json!({ "action": "a\nb" }), "action"),
        (json!({ "action": "a\u{85}b" }), "action"),
        (json!({ "action": 7 }), "action"),
        (json!({ "action": "x", "details": [] }), "details"),
        (json!({ "action": "x", "details": "text" }), "details"),
        (json!({ "action": "x", "details": { "a": "\0" } }), "details"),
        (json!({ "action": "x", "details": { "\0": 1 } }), "details"),
        (json!({ "action": "x", "details": { "a": nested } }), "details"),
        (json!({ "action": "x", "details": { "a": "x".repeat(8_200) } }), "details"),
        // Short as it is sent, long as the database writes it.
        (json!({ "action": "x", "details": { "a": vec![1e300; 30] } }), "details"),
    ] {
        let answer = send(&world, &append(&user, &body)).await?;
        assert_eq!(answer.error(), (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields(), [field], "{body}");
    }
    let huge = json!({ "action": "x", "details": { "a": "x".repeat(70_000) } });
    assert_eq!(send(&world, &append(&user, &huge)).await?.error(), (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(world.db.count("SELECT count(*) FROM activity_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_is_as_long_as_may_be_is_kept() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    let action = "\u{1f4a1}".repeat(64);
    // `{"a": "…"}` as the database writes it.
    let details = json!({ "a": "x".repeat(8_192 - 9) });
    let answer = send(&world, &append(&user, &json!({ "action": action, "details": details }))).await?;
    assert_eq!((answer.status.as_u16(), answer.text("/action")?), (201, action.as_str()));
    let over = json!({ "a": "x".repeat(8_192 - 8) });
    let answer = send(&world, &append(&user, &json!({ "action": "x", "details": over }))).await?;
    assert_eq!(answer.fields(), ["details"]);
    Ok(())
}

#[tokio::test]
async fn no_details_are_empty_details() -> Result<()> {
    let world = World::start().await?;
    let user = user(&world).await?;
    for body in [json!({ "action": "x" }), json!({ "action": "x", "details": null })] {
        assert_eq!(send(&world, &append(&user, &body)).await?.body["details"], json!({}));
    }
    Ok(())
}

/// JSON of few numbers, because how a number comes back is not how it was sent.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

#[test]
fn whatever_is_sent_is_kept_as_it_was_or_refused() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (world, user) = runtime.block_on(async {
        let world = World::start().await?;
        let user = user(&world).await?;
        anyhow::Ok((world, user))
    })?;
    let config = Config { cases: 100, failure_persistence: None, max_shrink_iters: 50, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(any::<String>(), value()), |(action, value)| {
        let body = json!({ "action": action, "details": { "value": value } });
        let sent = runtime.block_on(async {
            world.advance(time::Duration::SECOND);
            send(&world, &append(&user, &body)).await
        });
        let answer = sent.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let bad = |text: &str| text.contains('\0');
        let shown = (1..=64).contains(&action.chars().count()) && !action.chars().any(char::is_control);
        let status = answer.status.as_u16();
        if shown && !contains(&value, &bad) {
            prop_assert!(status == 201 || answer.fields() == ["details"], "{answer:?}");
        } else {
            prop_assert_eq!(answer.error(), (400, "VALIDATION_FAILED"));
        }
        if status == 201 {
            prop_assert_eq!(&answer.body["details"]["value"], &value);
            prop_assert_eq!(&answer.body["action"], &json!(action));
        }
        Ok(())
    });
    // Its database is dropped within the runtime.
    let _entered = runtime.enter();
    drop(world);
    outcome.map_err(|error| anyhow::anyhow!("{error}"))
}

fn contains(value: &Value, bad: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => bad(text),
        Value::Array(values) => values.iter().any(|value| contains(value, bad)),
        Value::Object(fields) => fields.iter().any(|(name, value)| bad(name) || contains(value, bad)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
