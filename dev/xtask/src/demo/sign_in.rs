//! Signing in with a node, and registering it.

use anyhow::Result;
use data_encoding::BASE64;
use http::StatusCode;
use serde_json::{Value, json};

use super::client::{Client, random_hex, text};

pub struct SignIn {
    pub did: String,
    pub node: Value,
    /// The body that `POST /v1/challenges/verify` took.
    pub answer: Value,
    pub session: Value,
}

impl SignIn {
    pub async fn with_a_new_node(client: &Client, sandbox: &str) -> Result<Self> {
        let did = format!("did:mnemonic:{}", random_hex::<32>()?);

        client.say("Your node. Here the sandbox plays it; it signs as LND does.");
        let name = json!({"name": format!("node{}", random_hex::<4>()?)});
        let node = client.post(&format!("{sandbox}/sandbox/nodes"), &[], &name, StatusCode::CREATED).await?;

        client.say("Ask for a text to sign.");
        let body = json!({"data": {"did": did, "challengeType": "default_registration"}});
        let challenge = client.post("/v1/challenges", &[], &body, StatusCode::OK).await?;
        let title = text(&challenge, "/challenge/title")?;

        client.say("Sign it at the node. Satchel never calls the node: this request is the user's own.");
        let sign = format!("{}/v1/signmessage", text(&node, "/base_url")?);
        let macaroon = [("grpc-metadata-macaroon", text(&node, "/admin_macaroon")?)];
        let message = json!({"msg": BASE64.encode(title.as_bytes())});
        let signed = client.post(&sign, &macaroon, &message, StatusCode::OK).await?;

        client.say("Hand in the signature: the key is recovered from it, and the account is made.");
        let challenge_id = text(&challenge, "/challenge/challenge_id")?;
        let signature = text(&signed, "/signature")?;
        let answer = json!({"data": {"did": did, "challenge_id": challenge_id, "signature": signature}});
        let session = client.post("/v1/challenges/verify", &[], &answer, StatusCode::OK).await?;
        Ok(Self { did, node, answer, session })
    }
}
