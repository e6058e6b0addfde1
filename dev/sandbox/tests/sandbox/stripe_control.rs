//! The handle over HTTP.

use sandbox::{STRIPE_PLATFORM_SECRET, Service};
use serde_json::{Value, json};

use crate::{
    client::call,
    receiver::Receiver,
    stripe::{text, world},
};

#[tokio::test]
async fn another_process_may_do_all_the_handle_may() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let receiver = Receiver::start().await?;
    let base = format!("{}/sandbox/stripe", sandbox.base_url());
    let ask = async |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        call(method, &format!("{base}{path}"), &[], &body).await
    };
    let endpoint =
        json!({"url": receiver.url, "secret": STRIPE_PLATFORM_SECRET, "events": ["refund.failed"]});
    let (status, endpoint) = ask("POST", "/endpoints", endpoint).await?;
    assert_eq!(status, 201);
    assert_eq!(ask("PUT", "", json!({"retry_factor": 0.001, "stop_clock": 1_800_000_000})).await?.0, 200);
    assert_eq!(ask("PUT", "", json!({"colour": "red"})).await?.0, 400);
    let session = api.session().await?;
    assert_eq!(ask("POST", &format!("/objects/{session}/pay"), Value::Null).await?, (200, json!({})));
    assert_eq!(ask("POST", &format!("/objects/{session}/pay"), Value::Null).await?.0, 400);
    let (status, refund) = ask("POST", &format!("/objects/{session}/refund"), json!({"amount": 5})).await?;
    assert_eq!(status, 201);
    let refund = text(&refund["id"]);
    let rotate = format!("/endpoints/{}/rotate", text(&endpoint["id"]));
    assert_eq!(ask("POST", &rotate, json!({"secret": "whsec_another_0000000001"})).await?.0, 200);
    assert_eq!(ask("POST", &format!("/objects/{refund}/fail_refund"), Value::Null).await?.0, 200);
    assert_eq!(receiver.wait_for(1).await?[0].json()["created"], json!(1_800_000_000));
    let (_, shown) = ask("GET", &format!("/objects/{refund}"), Value::Null).await?;
    assert_eq!((&shown["status"], shown["amount"].clone()), (&json!("failed"), json!(5)));
    let (_, account) = ask("POST", "/accounts", Value::Null).await?;
    let account = text(&account["id"]);
    let active = json!({"state": "active"});
    assert_eq!(ask("POST", &format!("/objects/{account}/set_account"), active).await?.0, 200);
    let new = json!({"account": account, "amount": 7, "currency": "usd"});
    let (_, payout) = ask("POST", "/payouts", new).await?;
    let moved = format!("/objects/{}/move_payout", text(&payout["id"]));
    assert_eq!(ask("POST", &moved, json!({"status": "paid"})).await?.0, 200);
    let (_, events) = ask("GET", &format!("/events/{session}"), Value::Null).await?;
    assert_eq!(events["events"].as_array().map(Vec::len), Some(stripe.events_of(&session).len()));
    let (_, deliveries) = ask("GET", "/deliveries", Value::Null).await?;
    assert_eq!(deliveries["deliveries"][0]["status"], json!(200));
    assert_eq!(ask("POST", &format!("/objects/{session}/dance"), Value::Null).await?.0, 404);
    assert_eq!(sandbox.calls_to(Service::Stripe, "/stripe"), 1, "the control is not counted");
    sandbox.stop().await;
    Ok(())
}
