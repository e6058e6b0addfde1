//! What must hold of a setup that is finished, whatever happened on the way: as its user is told it, as the database
//! has it, and as the providers have it.

use anyhow::{Context, ensure};
use e2e::client::text;
use e2e::setup::Made;
use e2e::{Owner, Result, Stack, Tokens};
use sandbox::Service;
use serde_json::{Value, json};
use shared::audit::{self, AuditDocument, AuditKey};
use shared::crypto::{KeyRing, SealingKeys};
use shared::lightning::{Bolt11, Network};
use shared::setup::{
    BtcpayConfig, NodeConfig, NodeSource, Setup, State, Step, btcpay_config_field, node_config_field,
};
use tokio_postgres::types::Type;

/// Everything there is to say of one user's setup.
pub async fn whole(stack: &Stack, owner: &Owner, tokens: &Tokens, username: &str) -> Result<()> {
    let checked = async {
        let setup = stack.setup(username).await?;
        ensure!(setup.state == State::Finished, "{setup:?}");
        told(&setup, &owner.setup_status(tokens).ok().await?)?;
        let made = stack.made(&setup)?;
        let (btcpay, node) = configurations(stack, &setup).await?;
        outside(&setup, &made, &btcpay, &node)?;
        written_down(stack, &setup).await?;
        audited(stack, &setup).await?;
        pays(owner, tokens, &made).await
    };
    match checked.await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(stack.story(username).await?)),
    }
}

/// The status of a setup that is done.
pub fn told(setup: &Setup, status: &Value) -> Result<()> {
    let mut status = status.clone();
    let steps = status["steps"].take();
    let voltage = setup.source == NodeSource::Voltage;
    let expected = json!({
        "status": "fully_configured", "lightningAddress": setup.address, "hasLightningAddress": true,
        "hasBTCPayStore": true, "hasVoltageNode": voltage, "canRetry": false, "steps": null,
    });
    ensure!(status == expected, "told is {status}");
    let names: Vec<&str> =
        steps.as_array().into_iter().flatten().filter_map(|step| step["name"].as_str()).collect();
    ensure!(
        names == Step::all_for(setup.source).map(Step::name).collect::<Vec<_>>(),
        "the steps are {steps}"
    );
    let done = |step: &Value| step["state"] == "done" && step["lastErrorCode"].is_null();
    ensure!(steps.as_array().into_iter().flatten().all(done), "the steps are {steps}");
    Ok(())
}

/// The address's sealed configurations, opened.
async fn configurations(stack: &Stack, setup: &Setup) -> Result<(BtcpayConfig, NodeConfig)> {
    let admin = stack.admin().await?;
    let address = "SELECT a.btcpay_config_sealed, a.node_config_sealed,
            a.setup_id = $2 AND a.username = $3 AND a.address = $3 || '@localhost' AND a.btcpay_store_id = $4
                AND a.voltage_node_id IS NOT DISTINCT FROM $5 AND (a.node_id IS NULL) = ($5 IS NOT NULL) AS agrees,
            EXISTS (SELECT FROM lightning_setup_secrets s WHERE s.setup_id = $2
                AND (s.macaroon_sealed IS NOT NULL OR s.webhook_secret_sealed IS NOT NULL
                     OR num_nulls(s.root_key_sealed, s.password_sealed, s.seed_sealed)
                        <> CASE WHEN $5 IS NULL THEN 3 ELSE 0 END)) AS odd
        FROM lightning_addresses a WHERE a.user_id = $1";
    let params = [
        (&setup.user_id as _, Type::UUID),
        (&setup.id as _, Type::UUID),
        (&setup.username as _, Type::TEXT),
        (&setup.btcpay_store_id as _, Type::TEXT),
        (&setup.voltage_node_id as _, Type::TEXT),
    ];
    let row = admin.query_typed_one(address, &params).await.context("no address")?;
    ensure!(row.get::<_, bool>("agrees"), "the address says something else than its setup");
    ensure!(!row.get::<_, bool>("odd"), "the secrets that are kept are not those that should be");
    let sealing = stack.sandbox.secrets().get("satchel/sealing").context("no sealing keys")?;
    let ring =
        KeyRing::try_from(serde_json::from_str::<SealingKeys>(&sealing)?).map_err(anyhow::Error::msg)?;
    let btcpay = ring.open(btcpay_config_field(&setup.user_id), row.get("btcpay_config_sealed"))?;
    let node = ring.open(node_config_field(&setup.user_id), row.get("node_config_sealed"))?;
    Ok((serde_json::from_slice(btcpay.expose())?, serde_json::from_slice(node.expose())?))
}

fn outside(setup: &Setup, made: &Made, btcpay: &BtcpayConfig, node: &NodeConfig) -> Result<()> {
    let store = &made.store;
    ensure!(store.id == btcpay.store_id && store.name == setup.username, "another store: {store:?}");
    let [webhook] = store.webhooks.as_slice() else { anyhow::bail!("{} webhooks", store.webhooks.len()) };
    let (id, secret) = (&btcpay.webhook_id, btcpay.webhook_secret.expose());
    ensure!(webhook.id == *id && webhook.secret == *secret, "the webhook on record is another");
    ensure!(webhook.url == format!("https://localhost/v1/webhooks/btcpay/{}", store.id), "{}", webhook.url);
    let method = store.payment_method.as_ref().context("the store has no node")?;
    let (macaroon, url) = (node.macaroon.expose(), &node.url);
    let connected = [format!("macaroon={macaroon}"), format!("server={url}/;")];
    let connected = connected.iter().all(|part| method.connection_string.contains(part));
    ensure!(method.enabled && connected, "the store is connected to another node");
    let Some((machine, lnd)) = &made.machine else { return Ok(()) };
    ensure!(machine.status == "running" && url.ends_with(&machine.api_endpoint), "{machine:?}");
    ensure!(node.pubkey.as_ref() == Some(&lnd.pubkey), "the key on record is another node's");
    ensure!(lnd.admin_macaroon != *macaroon, "the macaroon can do everything");
    Ok(())
}

/// Every step done once, since the last time the setup began anew, and every attempt on record.
async fn written_down(stack: &Stack, setup: &Setup) -> Result<()> {
    let admin = stack.admin().await?;
    let log = "SELECT step, event FROM lightning_setup_log WHERE setup_id = $1 ORDER BY id";
    let log = admin.query_typed(log, &[(&setup.id, Type::UUID)]).await?;
    let events: Vec<(&str, &str)> = log.iter().map(|row| (row.get(0), row.get(1))).collect();
    let done: Vec<&str> =
        events.iter().filter(|(_, event)| *event == "done").map(|(step, _)| *step).collect();
    let steps: Vec<&str> =
        Step::all_for(setup.source).filter(|step| *step != Step::Activate).map(Step::name).collect();
    ensure!(done == steps, "done were {done:?}");
    let count = |wanted: &str| events.iter().filter(|(_, event)| *event == wanted).count();
    ensure!(count("begun") == 1 && count("activated") == 1, "begun or activated more than once");
    ensure!(count("taken_up") == usize::try_from(setup.runs)?, "{} runs", setup.runs);
    Ok(())
}

async fn audited(stack: &Stack, setup: &Setup) -> Result<()> {
    let admin = stack.admin().await?;
    let rows = "SELECT action, details FROM audit_logs WHERE user_id = $1 ORDER BY seq";
    let rows = admin.query_typed(rows, &[(&setup.user_id, Type::UUID)]).await?;
    let actions: Vec<(&str, Value)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let of = |wanted: &str| actions.iter().filter(|(action, _)| *action == wanted).count();
    ensure!(of("setup.begun") == 1 && of("setup.activated") == 1, "{actions:?}");
    ensure!(of("provider_keys.read") == usize::try_from(setup.runs)?, "{} runs: {actions:?}", setup.runs);
    let activated = actions.iter().find(|(action, _)| *action == "setup.activated");
    let expected = json!({
        "address": setup.address, "node_source": setup.source.name(), "btcpay_store_id": setup.btcpay_store_id,
        "voltage_node_id": setup.voltage_node_id,
    });
    ensure!(activated.is_some_and(|(_, details)| *details == expected), "audited was {activated:?}");
    Ok(())
}

/// The API makes an invoice, and it is the node's.
async fn pays(owner: &Owner, tokens: &Tokens, made: &Made) -> Result<()> {
    let answer = owner.invoice(tokens, 21_000).send().await?;
    ensure!(answer.status == 201, "no invoice: {answer}");
    let bolt11 =
        Bolt11::parse(text(&answer.json()?, "/bolt11")?).map_err(|error| anyhow::anyhow!("{error}"))?;
    ensure!((bolt11.network, bolt11.amount_msat) == (Network::Regtest, Some(21_000)), "{bolt11:?}");
    let node = made.machine.as_ref().map_or(&owner.node.pubkey, |(_, lnd)| &lnd.pubkey);
    ensure!(bolt11.payee.to_string() == *node, "an invoice of {}", bolt11.payee);
    Ok(())
}

/// Of the whole world: at the providers one store for each setup and one node for each of those that asked for one,
/// and never another; nothing half written; the audit log as it was written.
pub async fn nothing_left_over(stack: &Stack, setups: usize, machines: usize) -> Result<()> {
    stack.an_hour_passes().await?;
    let resumed = stack.resume().await?;
    let deleted = ["stores_deleted", "nodes_deleted"].map(|what| resumed["settled"][what].clone());
    ensure!(resumed["resumed"] == 0 && deleted == [0, 0], "it was left over: {resumed}");
    let swept: Value = serde_json::from_slice(&stack.gateway.run_schedule("sweep_orphans").await?)?;
    ensure!(swept["orphans"] == json!([]), "{swept}");
    for (service, kind, expected) in [
        (Service::Btcpay, "store", setups),
        (Service::Voltage, "node", machines),
        (Service::Btcpay, "webhook", setups),
    ] {
        let objects = stack.sandbox.objects();
        let of_kind = objects.iter().find(|objects| objects.service == service && objects.kind == kind);
        let counted = of_kind.map_or((0, 0), |objects| (objects.created, objects.deleted));
        ensure!(counted == (u64::try_from(expected)?, 0), "{kind}s made and deleted: {counted:?}");
    }
    for (what, sql) in [
        (
            "settled",
            "SELECT count(*) FROM lightning_setups WHERE state = 'finished' AND settled_at IS NOT NULL",
        ),
        ("setups of any kind", "SELECT count(*) FROM lightning_setups"),
        ("addresses", "SELECT count(*) FROM lightning_addresses"),
        ("activations", "SELECT count(*) FROM audit_logs WHERE action = 'setup.activated'"),
    ] {
        let found = stack.db.count(sql).await?;
        ensure!(found == i64::try_from(setups)?, "{found} {what}, expected {setups}");
    }
    let document = stack.sandbox.secrets().get("satchel/audit").context("no audit key")?;
    let key =
        AuditKey::try_from(serde_json::from_str::<AuditDocument>(&document)?).map_err(anyhow::Error::msg)?;
    let verified = audit::verify(&stack.admin().await?, &key).await?;
    verified.map_err(|broken| anyhow::anyhow!("the audit log is not what was written: {broken}"))?;
    Ok(())
}
