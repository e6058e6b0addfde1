//! `cargo xtask demo`: what a client does, one request after the other, each printed with its answer.

use crate::command;
use crate::http::Http;
use crate::show;
use crate::stack::{Addresses, Stack, StackOptions};
use anyhow::{Context, Result, bail};
use data_encoding::{BASE64, HEXLOWER};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::Read;
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
    let stack = Stack::start(StackOptions::default()).await?;
    let result = flow(&stack.addresses).await;
    stack.stop().await.and(result)
}

/// Signs in with a new node, for a tool that needs a session.
pub async fn sign_in(addresses: &Addresses) -> Result<String> {
    let client = Client { http: Http::new(), api: addresses.api.clone(), quiet: true };
    let session = client.sign_in(&addresses.sandbox).await?.session;
    text(&session, "/data/accessToken").map(str::to_owned)
}

async fn flow(addresses: &Addresses) -> Result<()> {
    let client = Client { http: Http::new(), api: addresses.api.clone(), quiet: false };
    let SignIn { did, node, answer, session } = client.sign_in(&addresses.sandbox).await?;
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
    println!("\nEverything was as expected.");
    Ok(())
}

struct Client {
    http: Http,
    api: String,
    quiet: bool,
}

struct SignIn {
    did: String,
    node: Value,
    /// The body that `POST /v1/challenges/verify` took.
    answer: Value,
    session: Value,
}

impl Client {
    async fn sign_in(&self, sandbox: &str) -> Result<SignIn> {
        let did = format!("did:mnemonic:{}", random_hex::<32>()?);

        self.say("Your node. Here the sandbox plays it; it signs as LND does.");
        let name = json!({"name": format!("node{}", random_hex::<4>()?)});
        let node = self.post(&format!("{sandbox}/sandbox/nodes"), &[], &name, StatusCode::CREATED).await?;

        self.say("Ask for a text to sign.");
        let body = json!({"data": {"did": did, "challengeType": "default_registration"}});
        let challenge = self.post("/v1/challenges", &[], &body, StatusCode::OK).await?;
        let title = text(&challenge, "/challenge/title")?;

        self.say("Sign it at the node. Satchel never calls the node: this request is the user's own.");
        let sign = format!("{}/v1/signmessage", text(&node, "/base_url")?);
        let macaroon = [("grpc-metadata-macaroon", text(&node, "/admin_macaroon")?)];
        let message = json!({"msg": BASE64.encode(title.as_bytes())});
        let signed = self.post(&sign, &macaroon, &message, StatusCode::OK).await?;

        self.say("Hand in the signature: the key is recovered from it, and the account is made.");
        let challenge_id = text(&challenge, "/challenge/challenge_id")?;
        let signature = text(&signed, "/signature")?;
        let answer = json!({"data": {"did": did, "challenge_id": challenge_id, "signature": signature}});
        let session = self.post("/v1/challenges/verify", &[], &answer, StatusCode::OK).await?;
        Ok(SignIn { did, node, answer, session })
    }

    fn say(&self, what: &str) {
        if !self.quiet {
            println!("\n# {what}");
        }
    }

    async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &Value,
        expected: StatusCode,
    ) -> Result<Value> {
        self.send(&Method::POST, url, headers, Some(body), expected).await
    }

    /// A path is the API's; a whole address is another's.
    async fn send(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
        expected: StatusCode,
    ) -> Result<Value> {
        let url = if url.starts_with('/') { format!("{}{url}", self.api) } else { url.to_owned() };
        if !self.quiet {
            show::request(method, &url, headers, body);
        }
        let answer = self.http.send(method, &url, headers, body).await?;
        let json = answer.json()?;
        if !self.quiet {
            show::answer(answer.status, &answer.headers, &json);
        }
        if answer.status != expected {
            bail!("{method} {url} was expected to answer {expected}");
        }
        Ok(json)
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("the answer has no {pointer}"))
}

fn expect_eq(value: &Value, pointer: &str, expected: &str) -> Result<()> {
    let found = text(value, pointer)?;
    if found == expected { Ok(()) } else { bail!("{pointer} is {found}, not {expected}") }
}

fn random_hex<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}
