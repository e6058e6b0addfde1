//! `cargo xtask demo`: what a client does, one request after the other, each printed with its answer.

mod accounts;
mod client;
mod payments;
mod setup;
mod sign_in;

use crate::command;
use crate::http::Http;
use crate::stack::{Addresses, Stack, StackOptions};
use anyhow::{Result, bail};
use client::{Client, expect_eq, text};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sign_in::SignIn;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Options {}

pub async fn run(_: Options) -> Result<ExitCode> {
    tokio::select! {
        result = anywhere() => result.map(|()| ExitCode::SUCCESS),
        result = command::interrupted() => result.map(|()| ExitCode::FAILURE),
    }
}

/// Against the running `cargo xtask dev`; without one, against a stack of its own.
async fn anywhere() -> Result<()> {
    if let Some(running) = Addresses::of_running_stack().await {
        return flow(&running).await;
    }
    println!("no `cargo xtask dev` is running: starting everything for this demo");
    let stack = Stack::start(StackOptions { run_schedules: true, ..StackOptions::default() }).await?;
    let result = flow(&stack.addresses).await;
    stack.stop().await.and(result)
}

/// Somebody who signed in with a new node, for a tool that needs them.
pub struct Visitor {
    pub did: String,
    pub node: Value,
    pub user_id: String,
    pub session_id: String,
}

pub async fn visitor(addresses: &Addresses) -> Result<Visitor> {
    let client = Client { http: Http::new(), api: addresses.api.clone(), quiet: true };
    let SignIn { did, node, session, .. } = SignIn::with_a_new_node(&client, &addresses.sandbox).await?;
    let bearer = format!("Bearer {}", text(&session, "/data/accessToken")?);
    let me = client.quietly(&format!("{}/v1/auth/me", addresses.api), &[("authorization", &bearer)]).await?;
    let (user_id, session_id) = (text(&me, "/id")?.to_owned(), text(&me, "/sessionId")?.to_owned());
    Ok(Visitor { did, node, user_id, session_id })
}

async fn flow(addresses: &Addresses) -> Result<()> {
    let client = Client { http: Http::new(), api: addresses.api.clone(), quiet: false };
    let SignIn { did, node, answer, session } = SignIn::with_a_new_node(&client, &addresses.sandbox).await?;
    let (name, pubkey) = (text(&node, "/name")?, text(&node, "/pubkey")?);
    expect_eq(&session, "/data/lightning_pubkey", pubkey)?;

    client.say("Register the node, with a macaroon that can do nothing but make and read invoices.");
    let bearer = format!("Bearer {}", text(&session, "/data/accessToken")?);
    let session_headers = [("authorization", bearer.as_str())];
    let endpoint = format!("https://nodes.example.com/{name}");
    let invoice_macaroon = text(&node, "/invoice_macaroon")?;
    let body = json!({"data": {
        "did": did, "node_id": name, "lightning_pubkey": pubkey,
        "caddy_endpoint": endpoint, "admin_macaroon": invoice_macaroon,
    }});
    client.post("/v1/nodes", &session_headers, &body, StatusCode::OK).await?;

    client.say("Read it back.");
    let path = format!("/v1/nodes/{did}");
    let info = client.send(&Method::GET, &path, &session_headers, None, StatusCode::OK).await?;
    let info = info.get("data").unwrap_or(&info);
    expect_eq(info, "/lightning_pubkey", pubkey)?;
    expect_eq(info, "/caddy_endpoint", &endpoint)?;
    if info["has_macaroon"] != true {
        bail!("the macaroon was not kept");
    }

    client.say("The same challenge again: it is spent.");
    client.post("/v1/challenges/verify", &[], &answer, StatusCode::GONE).await?;

    accounts::live(&client, &addresses.sandbox).await?;
    setup::set_up(&client, &addresses.sandbox, &session_headers).await?;
    payments::checkout(&client, addresses, &did).await?;
    payments::invoices(&client, addresses, &session_headers).await?;
    println!("\nEverything was as expected.");
    Ok(())
}
