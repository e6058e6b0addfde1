//! A person with a node, doing what a client app does for them.

use anyhow::{Context, Result};
use sandbox::lnd::{Node, NodeOptions};
use serde_json::{Value, json};
use shared::random::Random;

use crate::client::{Answer, Client, Request, text};
use crate::stack::Stack;

/// A DID, the node that signs for it, and how to reach the API.
#[derive(Clone)]
pub struct Owner {
    pub did: String,
    pub node: Node,
    pub client: Client,
}

/// A text to sign.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub id: String,
    pub title: String,
}

/// What a sign-in yields.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Owner {
    /// A new node at the sandbox, and a DID nobody has.
    pub fn new(stack: &Stack) -> Result<Self> {
        let name = unique("node");
        let node = stack.sandbox.nodes().create(&name, NodeOptions::default())?;
        Ok(Self { did: new_did(), node, client: stack.client.clone() })
    }

    pub fn ask(&self, kind: &str) -> Request {
        self.client.post("/v1/challenges", &json!({"did": self.did, "challenge_type": kind}))
    }

    pub async fn challenge(&self, kind: &str) -> Result<Challenge> {
        Challenge::read(&self.ask(kind).ok().await?)
    }

    pub fn answer(&self, challenge: &Challenge, signature: &str) -> Request {
        let body = json!({"did": self.did, "challenge_id": challenge.id, "signature": signature});
        self.client.post("/v1/challenges/verify", &body)
    }

    /// Signs with the node directly: no request reaches it.
    pub async fn sign_in_for(&self, kind: &str) -> Result<Answer> {
        let challenge = self.challenge(kind).await?;
        self.answer(&challenge, &self.node.sign(&challenge.title)).send().await
    }

    /// The first time this makes the account.
    pub async fn sign_in(&self) -> Result<Tokens> {
        let challenge = self.challenge("default_registration").await?;
        let answer = self.answer(&challenge, &self.node.sign(&challenge.title)).ok().await?;
        Tokens::read(&answer)
    }

    /// A token that approves one payment.
    pub async fn step_up(&self) -> Result<String> {
        let body = json!({"did": self.did, "challenge_type": "send_btc_or_internal_account_rebalance",
            "amount_msat": 1_000, "destination": "somebody"});
        let challenge = Challenge::read(&self.client.post("/v1/challenges", &body).ok().await?)?;
        let answer = self.answer(&challenge, &self.node.sign(&challenge.title)).ok().await?;
        Ok(text(&answer, "/data/stepUpToken")?.to_owned())
    }

    /// What `register_individual_node` takes; a macaroon as narrow as it has to be.
    pub fn registration(&self) -> Value {
        json!({
            "did": self.did,
            "node_id": self.node.name,
            "lightning_pubkey": self.node.pubkey,
            "caddy_endpoint": format!("https://nodes.example.com/{}", self.node.name),
            "admin_macaroon": self.node.invoice_macaroon,
        })
    }

    pub fn register(&self, tokens: &Tokens) -> Request {
        self.client.post("/v1/nodes", &self.registration()).bearer(&tokens.access)
    }

    pub fn node_info(&self, tokens: &Tokens) -> Request {
        self.client.get(&format!("/v1/nodes/{}", self.did)).bearer(&tokens.access)
    }

    /// Asks for the challenge that `new` and this owner's node are to sign.
    pub fn ask_to_rebind(&self, tokens: &Tokens, new: &Node) -> Request {
        let body =
            json!({"did": self.did, "challenge_type": "node_rebind", "new_lightning_pubkey": new.pubkey});
        self.client.post("/v1/challenges", &body).bearer(&tokens.access)
    }

    pub fn rebind(&self, tokens: &Tokens, challenge: &Challenge, old: &str, new: &str) -> Request {
        let body = json!({"did": self.did, "challenge_id": challenge.id, "old_signature": old, "new_signature": new});
        self.client.post("/v1/nodes/rebind", &body).bearer(&tokens.access)
    }
}

impl Challenge {
    pub fn read(answer: &Value) -> Result<Self> {
        let id = text(answer, "/challenge/challenge_id")?.to_owned();
        Ok(Self { id, title: text(answer, "/challenge/title")?.to_owned() })
    }
}

impl Tokens {
    pub fn read(answer: &Value) -> Result<Self> {
        let access = text(answer, "/data/accessToken").context("a session")?.to_owned();
        Ok(Self { access, refresh: text(answer, "/data/refreshToken")?.to_owned() })
    }
}

/// A name nobody has, of letters and digits.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}{:032x}", u128::from_be_bytes(Random::system().bytes()))
}

/// A DID nobody has.
pub fn new_did() -> String {
    format!("did:mnemonic:{:064x}", u128::from_be_bytes(Random::system().bytes()))
}
