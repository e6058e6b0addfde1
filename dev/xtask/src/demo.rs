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
use std::time::Duration;
use testing::deployment::{BTCPAY_KEY, VOLTAGE_KEY};

/// How long a setup may take here: the schedule takes up every minute what stopped.
const SETUP_POLL: Duration = Duration::from_millis(500);
const SETUP_POLLS: u32 = 240;

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

    set_up(&client, &addresses.sandbox, &session_headers).await?;
    println!("\nEverything was as expected.");
    Ok(())
}

/// A store and a node of the user's own, and the first invoice on them.
async fn set_up(client: &Client, sandbox: &str, session: &[(&str, &str)]) -> Result<()> {
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

    /// A request that may be answered at once or be taken up.
    async fn post_any(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> Result<Value> {
        let url = format!("{}{url}", self.api);
        show::request(&Method::POST, &url, headers, Some(body));
        let answer = self.http.send(&Method::POST, &url, headers, Some(body)).await?;
        let json = answer.json()?;
        show::answer(answer.status, &answer.headers, &json);
        if answer.status.is_success() { Ok(json) } else { bail!("POST {url} was answered {}", answer.status) }
    }

    async fn quietly(&self, url: &str, headers: &[(&str, &str)]) -> Result<Value> {
        self.http.send(&Method::GET, url, headers, None).await?.json()
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
