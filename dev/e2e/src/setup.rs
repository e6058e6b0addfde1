//! Lightning for a person: what their app asks for, and what stands at the providers afterwards.

use anyhow::{Context, Result, ensure};
use sandbox::btcpay::Store;
use sandbox::lnd::Node;
use sandbox::voltage::VoltageNode;
use serde_json::{Value, json};
use shared::setup::{Setup, row};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::client::{Answer, Request};
use crate::owner::{Owner, Tokens};
use crate::stack::Stack;

const RESUMER: &str = "resume_lightning_setups";
/// Where a setup is asked for, and told of.
pub const PATH: &str = "/v1/lightning/setup";

impl Owner {
    /// Asks for a setup under this name, with a node to be made (`voltage`) or the one registered.
    pub fn set_up(&self, tokens: &Tokens, username: &str, source: &str) -> Request {
        let body = json!({ "username": username, "nodeSource": source });
        self.client.post(PATH, &body).bearer(&tokens.access)
    }

    pub fn setup_status(&self, tokens: &Tokens) -> Request {
        self.client.get(PATH).bearer(&tokens.access)
    }

    pub fn retry_setup(&self, tokens: &Tokens) -> Request {
        self.client.post(&format!("{PATH}/retry"), &json!({})).bearer(&tokens.access)
    }

    /// Asks for the words of the wallet.
    pub fn take_seed(&self, tokens: &Tokens) -> Request {
        self.client.post(&format!("{PATH}/handover"), &json!({})).bearer(&tokens.access)
    }

    pub fn invoice(&self, tokens: &Tokens, amount_msat: u64) -> Request {
        let body = json!({ "amount_msat": amount_msat, "memo": "two beers", "expiry_seconds": 600 });
        self.client.post("/v1/invoices", &body).bearer(&tokens.access)
    }

    /// A sign-in that brings names for a setup along.
    pub async fn sign_in_wishing(&self, names: &Value) -> Result<Answer> {
        let challenge = self.challenge("default_registration").await?;
        let signature = self.node.sign(&challenge.title);
        let mut body = json!({ "did": self.did, "challenge_id": challenge.id, "signature": signature });
        for (name, value) in names.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.client.post("/v1/challenges/verify", &body).send().await
    }

    /// Registers the node at the address the sandbox has it at, which is no address the API takes: it is on this
    /// machine and without TLS.
    pub async fn register_within_reach(&self, stack: &Stack, tokens: &Tokens) -> Result<()> {
        self.register(tokens).ok().await?;
        let moved = "UPDATE nodes SET endpoint = $1 WHERE did = $2";
        let params = [(&self.node.base_url as _, Type::TEXT), (&self.did as _, Type::TEXT)];
        ensure!(stack.admin().await?.execute_typed(moved, &params).await? == 1, "no node to move");
        Ok(())
    }
}

/// What one setup has at the providers.
pub struct Made {
    pub store: Store,
    /// `None` with a node of the user's own.
    pub machine: Option<(VoltageNode, Node)>,
}

impl Stack {
    /// What the schedule does every minute.
    pub async fn resume(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.gateway.run_schedule(RESUMER).await?)?)
    }

    /// For setups: leases end, waits are over, and what is finished has been so for long.
    pub async fn an_hour_passes(&self) -> Result<()> {
        let passed = "UPDATE lightning_setups SET due_at = due_at - interval '1 hour', finished_at = finished_at - interval '1 hour'";
        Ok(self.admin().await?.batch_execute(passed).await?)
    }

    /// The setup of this name, as it is written down.
    pub async fn setup(&self, username: &str) -> Result<Setup> {
        let admin = self.admin().await?;
        let found = "SELECT id FROM lightning_setups WHERE username = $1 AND state <> 'undone'";
        let id: Uuid = admin.query_typed_one(found, &[(&username, Type::TEXT)]).await?.get(0);
        row::find(&admin, id).await?.context("the setup is gone")
    }

    /// What the setup names, as the providers have it.
    pub fn made(&self, setup: &Setup) -> Result<Made> {
        let store = self.sandbox.btcpay().store(setup.btcpay_store_id.as_deref().unwrap_or_default());
        let store = store.with_context(|| format!("no store: {setup:?}"))?;
        let Some(id) = &setup.voltage_node_id else { return Ok(Made { store, machine: None }) };
        let machines = self.sandbox.voltage().nodes();
        let machine = machines.into_iter().find(|machine| machine.node_id == *id);
        let machine = machine.with_context(|| format!("no node: {setup:?}"))?;
        let lnd = self.sandbox.nodes().get(&machine.lnd).context("no LND on the node")?;
        Ok(Made { store, machine: Some((machine, lnd)) })
    }

    /// What the log has to say of a setup, for the message of a test that fails.
    pub async fn story(&self, username: &str) -> Result<String> {
        let log =
            "SELECT concat_ws(' ', l.step, event, attempt, error_code, detail) FROM lightning_setup_log l
                   JOIN lightning_setups s ON s.id = setup_id WHERE username = $1 ORDER BY l.id";
        let rows = self.admin().await?.query_typed(log, &[(&username, Type::TEXT)]).await?;
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(format!("{username}\n  {}", lines.join("\n  ")))
    }
}
