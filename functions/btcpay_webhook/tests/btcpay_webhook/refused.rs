//! Signed or not: what is not a delivery to this store.

use serde_json::json;
use testing::{Result, Store, World};

use super::{
    DID, OTHER_DID, delivery, kept_body, nothing_was_recorded, received, rows, send, signed, store, wire,
};

#[tokio::test]
async fn a_store_nobody_has_is_not_there() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    let long = "a".repeat(65);
    for id in ["9nQkBdhHpdwmPtwqHzjdvhBkDqhNuyT2cXhKhMNGpvE1", "", "a b", "a/b", "%00", "..", "é", &long] {
        let elsewhere = Store {
            id: id.to_owned(),
            webhook_id: String::from("w"),
            webhook_secret: store.webhook_secret.clone(),
        };
        let answer = send(&deps, &signed(&elsewhere, &delivery(&elsewhere, &json!({})))).await?;
        assert_eq!(answer.refusal()?, (404, "NOT_FOUND"), "{id:?}");
    }
    nothing_was_recorded(&world).await?;
    assert_eq!(rows(&world, "audit_logs").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_store_that_was_taken_back_is_not_there() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    world.db.admin().await?.batch_execute("DELETE FROM lightning_addresses").await?;
    let answer = send(&deps, &signed(&store, &delivery(&store, &json!({})))).await?;
    assert_eq!(answer.refusal()?, (404, "NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn a_body_about_another_store_is_refused_though_it_is_signed() -> Result<()> {
    let world = World::start().await?;
    let (one, other) = (store(&world, DID).await?, store(&world, OTHER_DID).await?);
    let deps = wire(&world).await?;
    for id in [json!(other.id), json!(null), json!(one.id.to_uppercase())] {
        let answer = send(&deps, &signed(&one, &delivery(&one, &json!({ "storeId": id })))).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{id}");
        assert_eq!(answer.fields(), ["storeId"]);
    }
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn what_is_signed_and_no_delivery_is_malformed() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    let without = |name: &str| {
        let mut body: serde_json::Value = serde_json::from_str(&delivery(&store, &json!({}))).unwrap();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    let bodies = [
        String::new(),
        "null".into(),
        "[]".into(),
        "canary-body".into(),
        "{".into(),
        without("deliveryId"),
        without("webhookId"),
        without("type"),
        without("timestamp"),
        delivery(&store, &json!({ "deliveryId": "" })),
        delivery(&store, &json!({ "deliveryId": "canary body" })),
        delivery(&store, &json!({ "originalDeliveryId": "x".repeat(65) })),
        delivery(&store, &json!({ "webhookId": 7 })),
        delivery(&store, &json!({ "invoiceId": "canary/body" })),
    ];
    for body in &bodies {
        let answer = send(&deps, &signed(&store, body)).await?;
        assert_eq!(answer.refusal()?, (400, "MALFORMED_REQUEST"), "{body}");
        let said = format!("{}{:?}", answer.reply.body, answer.causes);
        assert!(!said.contains("canary"), "{said}");
    }
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_not_one_byte_more() -> Result<()> {
    let world = World::start().await?;
    let store = store(&world, DID).await?;
    let deps = wire(&world).await?;
    let of_length = |length: usize| {
        let mut body = delivery(&store, &json!({}));
        body.push_str(&" ".repeat(length - body.len()));
        signed(&store, &body)
    };
    received(&deps, &of_length(1024 * 1024)).await?;
    assert_eq!(kept_body(&world, "8RbzPxQVsQvpQdGbDTUcFR").await?.len(), 1024 * 1024);
    let answer = send(&deps, &of_length(1024 * 1024 + 1)).await?;
    assert_eq!(answer.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    Ok(())
}
