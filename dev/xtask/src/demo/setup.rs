//! Lightning, set up, and the first invoice.

use std::time::Duration;

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testing::deployment::{BTCPAY_KEY, VOLTAGE_KEY};

use super::client::{Client, expect_eq, random_hex, text};
use crate::show;

/// How long a setup may take here: the schedule takes up every minute what stopped.
const SETUP_POLL: Duration = Duration::from_millis(500);
const SETUP_POLLS: u32 = 240;

/// A store and a node of the user's own, and the first invoice on them.
pub async fn set_up(client: &Client, sandbox: &str, session: &[(&str, &str)]) -> Result<()> {
    client.say("Set Lightning up: one request, and the rest is Satchel's.");
    let username = format!("demo{}", random_hex::<4>()?);
    let mut status = client.post_any("/v1/lightning/setup", session, &json!({"username": username})).await?;
    for _ in 0..SETUP_POLLS {
        if status["status"] != "in_progress" {
            break;
        }
        tokio::time::sleep(SETUP_POLL).await;
        status = client.send(&Method::GET, "/v1/lightning/setup", session, None, StatusCode::OK).await?;
    }
    expect_eq(&status, "/status", "fully_configured")?;

    client.say("What there is now, asked at BTCPay and Voltage themselves: one store, one node.");
    let key = [("authorization", format!("token {BTCPAY_KEY}"))];
    let key = key.each_ref().map(|(name, value)| (*name, value.as_str()));
    let stores = client.quietly(&format!("{sandbox}/btcpay/api/v1/stores"), &key).await?;
    let store = one(&stores, |store| store["name"] == username.as_str()).context("one store of that name")?;
    println!("store  {}  {}  {}", store["id"], store["name"], store["website"]);
    let marker = text(store, "/website")?.rsplit('#').next().unwrap_or_default().to_owned();
    let nodes =
        client.quietly(&format!("{sandbox}/voltage/node"), &[("x-voltage-auth", VOLTAGE_KEY)]).await?;
    let node =
        one(&nodes["nodes"], |node| node["node_name"] == marker.as_str()).context("one node of that name")?;
    println!("node   {}  {}  {}", node["node_id"], node["node_name"], node["status"]);

    client.say("The first invoice: a real BOLT11 from the user's own node.");
    let order = json!({"amount_msat": 21_000, "memo": "the first coffee"});
    let invoice = client.post("/v1/invoices", session, &order, StatusCode::CREATED).await?;
    show::qr(text(&invoice, "/bolt11")?)
}

fn one(list: &Value, is_it: impl Fn(&Value) -> bool) -> Option<&Value> {
    let mut found = list.as_array()?.iter().filter(|item| is_it(item));
    found.next().filter(|_| found.next().is_none())
}
