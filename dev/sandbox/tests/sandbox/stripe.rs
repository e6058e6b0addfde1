//! Stripe's API: who may, what is refused, and what a payment leaves behind.

use data_encoding::BASE64;
use sandbox::{STRIPE_KEY, Sandbox, Service, stripe::Stripe};
use serde_json::{Value, json};

use crate::client::{call, sandbox, send};

/// The API with the default key.
pub struct Api {
    pub base: String,
    pub headers: Vec<(&'static str, String)>,
}

/// A session over 20.00 dollars.
pub const SESSION: &str = "mode=payment&success_url=https%3A%2F%2Fshop.test%2Fok&client_reference_id=p-1\
    &metadata[payment_id]=p-1&payment_intent_data[metadata][payment_id]=p-1\
    &line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=1000\
    &line_items[0][price_data][product_data][name]=Tea&line_items[0][quantity]=2";

pub async fn world() -> anyhow::Result<(Sandbox, Stripe, Api)> {
    let sandbox = sandbox().await?;
    let stripe = sandbox.stripe();
    let api = Api { base: stripe.base_url(), headers: Vec::new() };
    Ok((sandbox, stripe, api))
}

impl Api {
    /// The same with one header more.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.push((name, value.to_owned()));
        Self { base: self.base.clone(), headers }
    }

    pub async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, Value)> {
        let bearer = format!("Bearer {STRIPE_KEY}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(self.headers.iter().map(|(name, value)| (*name, value.as_str())));
        call(method, &format!("{}{path}", self.base), &headers, body).await
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.ask("GET", path, "").await?;
        anyhow::ensure!(status == 200, "{status} {body}");
        Ok(body)
    }

    pub async fn post(&self, path: &str, body: &str) -> anyhow::Result<Value> {
        let (status, body) = self.ask("POST", path, body).await?;
        anyhow::ensure!(status == 200, "{status} {body}");
        Ok(body)
    }

    /// The id of what a POST made.
    pub async fn make(&self, path: &str, body: &str) -> anyhow::Result<String> {
        Ok(text(&self.post(path, body).await?["id"]))
    }

    /// A new checkout session.
    pub async fn session(&self) -> anyhow::Result<String> {
        self.make("/v1/checkout/sessions", SESSION).await
    }
}

/// How many of a kind Stripe made and removed.
pub fn made(sandbox: &Sandbox, kind: &str) -> (u64, u64) {
    let of_kind = |o: &&sandbox::Objects| o.service == Service::Stripe && o.kind == kind;
    sandbox.objects().iter().find(of_kind).map_or((0, 0), |o| (o.created, o.deleted))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn only_a_known_key_lets_anybody_in() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let url = format!("{}/v1/events", api.base);
    let basic = |key: &str| format!("Basic {}", BASE64.encode(format!("{key}:").as_bytes()));
    for (header, expected) in [
        (format!("Bearer {STRIPE_KEY}"), 200),
        (basic(STRIPE_KEY), 200),
        ("Bearer sk_test_other".to_owned(), 401),
        (basic("sk_test_other"), 401),
        (STRIPE_KEY.to_owned(), 401),
        (String::new(), 401),
    ] {
        let (status, body) = call("GET", &url, &[("authorization", &header)], "").await?;
        assert_eq!(status, expected, "{header}: {body}");
        if expected == 401 {
            assert_eq!(body["error"]["type"], json!("invalid_request_error"));
            assert!(!body.to_string().contains("sk_test_other"), "a key is not repeated: {body}");
        }
    }
    assert!(stripe.revoke_key(STRIPE_KEY));
    assert_eq!(api.ask("GET", "/v1/events", "").await?.0, 401);
    assert_eq!(sandbox.calls_to(Service::Stripe, "/stripe/v1/events"), 7);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_missing_or_unheard_of_is_named() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let sessions = "/v1/checkout/sessions";
    let without = |name: &str| {
        let kept: Vec<&str> = SESSION.split('&').filter(|pair| !pair.trim().starts_with(name)).collect();
        kept.join("&")
    };
    for (body, status, code, param) in [
        (without("mode"), 400, json!("parameter_missing"), "mode"),
        (without("success_url"), 400, json!("parameter_missing"), "success_url"),
        (without("line_items"), 400, json!("parameter_missing"), "line_items"),
        (format!("{SESSION}&colour=red"), 400, json!("parameter_unknown"), "colour"),
        (
            SESSION.replace("=1000", "=ten"),
            400,
            json!("parameter_invalid_integer"),
            "line_items[0][price_data][unit_amount]",
        ),
        (
            format!("{SESSION}&payment_intent_data[transfer_data][destination]=acct_none"),
            400,
            json!("resource_missing"),
            "transfer_data[destination]",
        ),
        (
            format!("{SESSION}&payment_intent_data[application_fee_amount]=5"),
            400,
            Value::Null,
            "application_fee_amount",
        ),
        (format!("{SESSION}&expires_at=5"), 400, Value::Null, "expires_at"),
        (format!("{SESSION}&subscription_data[description]=a"), 400, Value::Null, "subscription_data"),
    ] {
        let (was, answer) = api.ask("POST", sessions, &body).await?;
        let error = &answer["error"];
        assert_eq!((was, &error["code"], &error["param"]), (status, &code, &json!(param)), "{answer}");
        assert_eq!(error["type"], json!("invalid_request_error"));
    }
    let (status, answer) = api.ask("GET", "/v1/charges/ch_none", "").await?;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("resource_missing")));
    assert_eq!(api.ask("GET", "/v1/nothing", "").await?.0, 404);
    assert_eq!(api.ask("DELETE", sessions, "").await?.0, 404);
    assert_eq!((made(&sandbox, "checkout_session"), stripe.events().len()), ((0, 0), 0));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_session_is_open_then_paid_and_all_of_it_agrees() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let session = api.session().await?;
    let path = format!("/v1/checkout/sessions/{session}");
    let open = api.get(&path).await?;
    assert_eq!((&open["status"], &open["payment_status"]), (&json!("open"), &json!("unpaid")));
    assert_eq!((&open["amount_total"], &open["currency"]), (&json!(2000), &json!("usd")));
    assert_eq!((&open["payment_intent"], &open["object"]), (&Value::Null, &json!("checkout.session")));
    stripe.pay(&session)?;
    assert!(stripe.pay(&session).is_err(), "nobody pays twice");
    let paid = api.get(&format!("{path}?expand[]=payment_intent.latest_charge&expand[]=line_items")).await?;
    let intent = &paid["payment_intent"];
    assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("complete"), &json!("paid")));
    assert_eq!((&intent["status"], &intent["amount_received"]), (&json!("succeeded"), &json!(2000)));
    assert_eq!(intent["metadata"], json!({"payment_id": "p-1"}));
    let charge = &intent["latest_charge"];
    assert_eq!((&charge["paid"], &charge["captured"]), (&json!(true), &json!(true)));
    assert_eq!(charge["payment_intent"], intent["id"]);
    assert_eq!(paid["line_items"]["data"][0]["quantity"], json!(2));
    let kinds: Vec<String> = stripe.events_of(&session).into_iter().map(|event| event.kind).collect();
    let expected = [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ];
    assert_eq!(kinds, expected);
    for kind in ["checkout_session", "payment_intent", "charge"] {
        assert_eq!(made(&sandbox, kind), (1, 0), "{kind}");
    }
    let (status, refused) = api.ask("POST", &format!("{path}/expire"), "").await?;
    assert_eq!(status, 400, "{refused}");
    let other = api.session().await?;
    let expired = api.post(&format!("/v1/checkout/sessions/{other}/expire"), "").await?;
    assert_eq!((&expired["status"], &expired["url"]), (&json!("expired"), &Value::Null));
    let forgotten = api.session().await?;
    stripe.step_clock(86_400);
    assert!(stripe.pay(&forgotten).is_err(), "its day is over");
    let last = stripe.events().pop().map(|event| (event.kind, event.object));
    assert_eq!(last, Some(("checkout.session.expired".to_owned(), forgotten)));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_intent_is_confirmed_declined_held_captured_and_canceled() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let new = "amount=700&currency=eur&metadata[payment_id]=p-2&payment_method=";
    for (method, status) in [
        ("pm_card_visa", "succeeded"),
        ("pm_card_authenticationRequired", "requires_action"),
        ("pm_usBankAccount", "processing"),
    ] {
        let made = api.post("/v1/payment_intents", &format!("{new}{method}&confirm=true")).await?;
        assert_eq!((&made["status"], &made["payment_method"]), (&json!(status), &json!(method)));
    }
    let declined = format!("{new}pm_card_visa_chargeDeclined&confirm=true");
    let (status, refused) = api.ask("POST", "/v1/payment_intents", &declined).await?;
    let error = &refused["error"];
    assert_eq!(
        (status, &error["type"], &error["code"]),
        (402, &json!("card_error"), &json!("card_declined"))
    );
    assert_eq!(error["payment_intent"]["status"], json!("requires_payment_method"));
    let id = api.make("/v1/payment_intents", &format!("{new}pm_card_visa&capture_method=manual")).await?;
    let held = api.post(&format!("/v1/payment_intents/{id}/confirm"), "").await?;
    assert_eq!((&held["status"], &held["amount_capturable"]), (&json!("requires_capture"), &json!(700)));
    let captured = api.post(&format!("/v1/payment_intents/{id}/capture"), "amount_to_capture=500").await?;
    assert_eq!((&captured["status"], &captured["amount_received"]), (&json!("succeeded"), &json!(500)));
    let (status, refused) = api.ask("POST", &format!("/v1/payment_intents/{id}/cancel"), "").await?;
    let code = json!("payment_intent_unexpected_state");
    assert_eq!((status, &refused["error"]["code"]), (400, &code));
    let id = api.make("/v1/payment_intents", "amount=5&currency=eur").await?;
    let canceled = api.post(&format!("/v1/payment_intents/{id}/cancel"), "").await?;
    assert_eq!(canceled["status"], json!("canceled"));
    assert_eq!(made(&sandbox, "payment_intent"), (6, 0));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_version() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let bearer = format!("Bearer {STRIPE_KEY}");
    let url = format!("{}/v1/checkout/sessions", api.base);
    let (status, _) = send("POST", &url, &[("authorization", &bearer)], SESSION).await?;
    assert_eq!(status, 200);
    let headers =
        crate::stripe_idempotency::headers("POST", &url, &[("authorization", &bearer)], SESSION).await?;
    assert!(headers["request-id"].to_str()?.starts_with("req_"));
    assert_eq!(headers["stripe-version"], sandbox::stripe::API_VERSION);
    sandbox.stop().await;
    Ok(())
}
