//! What must hold of a setup that is finished, whatever happened on the way.

use anyhow::{Context, ensure};
use sandbox::btcpay::Store;
use serde_json::Value;
use shared::audit::{self, AuditDocument, AuditKey};
use shared::btcpay::{NewInvoice, StoreId};
use shared::crypto::Secret;
use shared::db::Type;
use shared::lightning::{Bolt11, Macaroon};
use shared::session;
use shared::setup::status::{self, Status, Summary};
use shared::setup::{
    BtcpayConfig, NodeConfig, NodeSource, Step, btcpay_config_field, node_config_field, orphans,
};
use testing::Result;
use testing::world::ISSUER_URL;
use uuid::Uuid;

use crate::scene::{Scene, User};

/// Everything: what the database says, what the outside has, that they agree, and that it works.
pub async fn whole(scene: &Scene, user: &User) -> Result<()> {
    let checked = async {
        let (btcpay, node) = configurations(scene, user).await?;
        outside(scene, user, &btcpay, &node).await?;
        status_of(scene, user).await?;
        story(scene, user).await?;
        audited(scene, user).await?;
        pays(scene, user, &btcpay, &node).await
    };
    match checked.await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(scene.story(user).await?)),
    }
}

/// The address's sealed configurations, opened.
pub async fn configurations(scene: &Scene, user: &User) -> Result<(BtcpayConfig, NodeConfig)> {
    let setup = scene.setup(user).await?;
    let row = scene
        .admin
        .query_typed_one(
            "SELECT a.setup_id, a.username, a.address, a.btcpay_store_id, a.voltage_node_id, a.node_id,
                    a.btcpay_config_sealed, a.node_config_sealed,
                    EXISTS (SELECT FROM lightning_setup_secrets s WHERE s.setup_id = a.setup_id
                        AND (s.macaroon_sealed IS NOT NULL OR s.webhook_secret_sealed IS NOT NULL
                             OR (s.root_key_sealed IS NULL) = (a.node_id IS NULL))) AS odd
             FROM lightning_addresses a WHERE a.user_id = $1",
            &[(&user.id, Type::UUID)],
        )
        .await
        .context("no address")?;
    let text = |column| row.get::<_, Option<String>>(column);
    ensure!(row.get::<_, Uuid>("setup_id") == user.setup_id, "another setup's address");
    ensure!(text("username").as_ref() == Some(&user.name), "{:?}", text("username"));
    ensure!(text("address") == Some(format!("{}@pay.example.com", user.name)), "{:?}", text("address"));
    ensure!(text("btcpay_store_id") == setup.btcpay_store_id, "the store of the address is another");
    ensure!(text("voltage_node_id") == setup.voltage_node_id, "the node of the address is another");
    let registered = user.source == NodeSource::Registered;
    ensure!(text("node_id").is_some() == registered, "node_id is {:?}", text("node_id"));
    ensure!(!row.get::<_, bool>("odd"), "the secrets that are kept are not those that should be");
    let open = |field, column| scene.ring.open(field, row.get::<_, &[u8]>(column));
    let btcpay: Secret<Vec<u8>> = open(btcpay_config_field(&user.id), "btcpay_config_sealed")?;
    let node: Secret<Vec<u8>> = open(node_config_field(&user.id), "node_config_sealed")?;
    Ok((serde_json::from_slice(btcpay.expose())?, serde_json::from_slice(node.expose())?))
}

/// The stores that carry the user's marker.
pub async fn stores(scene: &Scene, user: &User) -> Result<Vec<Store>> {
    let website = format!("https://app.example.com/#{}", scene.marker(user, 1).await?);
    let stores = scene.world.sandbox.btcpay().stores();
    Ok(stores.into_iter().filter(|store| store.website.as_ref() == Some(&website)).collect())
}

async fn outside(scene: &Scene, user: &User, btcpay: &BtcpayConfig, node: &NodeConfig) -> Result<()> {
    let setup = scene.setup(user).await?;
    let mut stores = stores(scene, user).await?;
    if let Some(id) = &user.store {
        ensure!(stores.is_empty(), "another store was made");
        stores.extend(scene.world.sandbox.btcpay().store(id));
    }
    let [store] = stores.as_slice() else { anyhow::bail!("{} stores", stores.len()) };
    ensure!(
        store.id == btcpay.store_id && Some(&store.id) == setup.btcpay_store_id.as_ref(),
        "another store"
    );
    ensure!(user.store.is_some() || store.name == user.name, "the store is called {}", store.name);

    let url = format!("{ISSUER_URL}/v1/webhooks/btcpay/{}", store.id);
    let (webhooks, others): (Vec<_>, Vec<_>) = store.webhooks.iter().partition(|webhook| webhook.url == url);
    let [webhook] = webhooks.as_slice() else { anyhow::bail!("{} webhooks", webhooks.len()) };
    ensure!(user.store.is_some() || others.is_empty(), "webhooks to somebody else: {others:?}");
    ensure!(webhook.id == btcpay.webhook_id, "the webhook on record is another");
    ensure!(webhook.secret == *btcpay.webhook_secret.expose(), "the webhook's secret is another");

    let method = store.payment_method.as_ref().context("the store has no node")?;
    let (macaroon, url) = (node.macaroon.expose(), &node.url);
    let connected = method.connection_string.contains(macaroon.as_str())
        && method.connection_string.contains(&format!("server={url}/;"));
    ensure!(method.enabled && connected, "the store is connected to another node");

    // Whatever generation: those that were given up are gone.
    let mark = scene.marker(user, 1).await?;
    let beginning = mark.rsplit_once('-').map_or(mark.as_str(), |(beginning, _)| beginning);
    let nodes = scene.world.sandbox.voltage().nodes();
    let nodes: Vec<_> = nodes.into_iter().filter(|node| node.name.starts_with(beginning)).collect();
    if user.source == NodeSource::Registered {
        ensure!(nodes.is_empty(), "{} nodes were made", nodes.len());
        return Ok(());
    }
    let [machine] = nodes.as_slice() else { anyhow::bail!("{} nodes", nodes.len()) };
    ensure!(Some(&machine.node_id) == setup.voltage_node_id.as_ref(), "the node on record is another");
    ensure!(
        machine.name == scene.marker(user, setup.generation).await?,
        "the node is called {}",
        machine.name
    );
    ensure!(machine.status == "running", "the node is {}", machine.status);
    let lnd = scene.world.sandbox.nodes().get(&machine.lnd).context("no LND on the node")?;
    ensure!(node.pubkey.as_ref() == Some(&lnd.pubkey), "the key on record is another node's");
    ensure!(lnd.admin_macaroon != *macaroon, "the macaroon can do everything");
    Ok(())
}

/// What the user is told, as the role sees it that tells them.
pub async fn status(scene: &Scene, user: &User) -> Result<Status> {
    let mut connection = scene.api.db.connection().await?;
    let tx = connection.transaction().await?;
    session::enter(&tx, (user.id, Uuid::nil()), false, scene.world.now()).await?;
    Ok(status::read(&tx, user.id, true).await?)
}

async fn status_of(scene: &Scene, user: &User) -> Result<()> {
    let status = status(scene, user).await?;
    ensure!(status.status == Summary::FullyConfigured, "the status is {:?}", status.status);
    ensure!(status.has_lightning_address && status.has_btcpay_store && !status.can_retry, "{status:?}");
    ensure!(status.has_voltage_node == (user.source == NodeSource::Voltage), "{status:?}");
    let names: Vec<&str> = status.steps.iter().map(|step| step.name).collect();
    let expected: Vec<&str> = Step::all_for(user.source).map(Step::name).collect();
    ensure!(names == expected, "the steps are {names:?}");
    let done = |step: &status::StepStatus| {
        step.state == "done" && step.attempts >= 1 && step.last_error_code.is_none()
    };
    ensure!(status.steps.iter().all(done), "{:?}", status.steps);
    Ok(())
}

/// Every step done once and in order, since the last time the setup began anew, and all attempts on record.
async fn story(scene: &Scene, user: &User) -> Result<()> {
    let log = "SELECT step, event, created_at FROM lightning_setup_log WHERE setup_id = $1 ORDER BY id";
    let log = scene.admin.query_typed(log, &[(&user.setup_id, Type::UUID)]).await?;
    let events: Vec<(&str, &str)> = log.iter().map(|row| (row.get(0), row.get(1))).collect();
    ensure!(
        events.first().is_some_and(|(_, event)| *event == "begun"),
        "it does not begin with its beginning"
    );
    let anew = events.iter().rposition(|(_, event)| *event == "started_over").unwrap_or_default();
    let done: Vec<&str> =
        events[anew..].iter().filter(|(_, event)| *event == "done").map(|(step, _)| *step).collect();
    let steps: Vec<&str> =
        Step::all_for(user.source).filter(|step| *step != Step::Activate).map(Step::name).collect();
    ensure!(done == steps, "done were {done:?}");
    let count = |wanted: &str| events.iter().filter(|(_, event)| *event == wanted).count();
    ensure!(count("begun") == 1 && count("activated") == 1, "begun or activated more than once");
    let ending = events.iter().rfind(|(_, event)| *event != "extra_deleted");
    ensure!(ending == Some(&("activate", "activated")), "it ends with {ending:?}");
    let setup = scene.setup(user).await?;
    ensure!(count("taken_up") == usize::try_from(setup.runs)?, "{} runs", setup.runs);
    ensure!(count("started_over") + 1 == usize::try_from(setup.generation)?, "{} nodes", setup.generation);
    Ok(())
}

async fn audited(scene: &Scene, user: &User) -> Result<()> {
    let rows = "SELECT action, details FROM audit_logs WHERE user_id = $1 ORDER BY seq";
    let rows = scene.admin.query_typed(rows, &[(&user.id, Type::UUID)]).await?;
    let actions: Vec<(&str, Value)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let of = |wanted: &str| actions.iter().filter(|(action, _)| *action == wanted).count();
    let activated = actions.iter().find(|(action, _)| *action == "setup.activated");
    let (_, details) = activated.context("the activation is not audited")?;
    let setup = scene.setup(user).await?;
    let expected = serde_json::json!({
        "address": setup.address, "node_source": user.source.name(), "btcpay_store_id": setup.btcpay_store_id,
        "voltage_node_id": setup.voltage_node_id,
    });
    ensure!(*details == expected, "audited was {details}");
    ensure!(of("setup.activated") == 1, "activated {} times", of("setup.activated"));
    for (action, event) in [
        ("setup.failed", "given_up"),
        ("setup.started_over", "started_over"),
        ("setup.extra_deleted", "extra_deleted"),
    ] {
        let logged = "SELECT count(*) FROM lightning_setup_log WHERE setup_id = $1 AND event = $2";
        let params = [(&user.setup_id as _, Type::UUID), (&event as _, Type::TEXT)];
        let logged: i64 = scene.admin.query_typed_one(logged, &params).await?.get(0);
        ensure!(i64::try_from(of(action))? == logged, "{} of {action}, {logged} logged", of(action));
    }
    Ok(())
}

/// The store makes an invoice, and it is the node's.
async fn pays(scene: &Scene, user: &User, btcpay: &BtcpayConfig, node: &NodeConfig) -> Result<()> {
    let macaroon = Macaroon::parse(node.macaroon.expose()).map_err(|error| anyhow::anyhow!("{error}"))?;
    ensure!(macaroon.judge() == shared::lightning::macaroon::Verdict::Narrow, "the macaroon is too wide");
    let store: StoreId = btcpay.store_id.parse()?;
    let new =
        NewInvoice { order_id: user.setup_id, amount_msat: 21_000, description: "test", expiry_minutes: 15 };
    let invoice = scene.btcpay.create_invoice(&store, &new).await.context("the store makes no invoice")?;
    let bolt11 = scene.btcpay.bolt11(&store, &invoice.id).await.context("the invoice has no BOLT11")?;
    let bolt11 = Bolt11::parse(&bolt11).map_err(|error| anyhow::anyhow!("{error}"))?;
    ensure!(bolt11.amount_msat == Some(21_000), "an invoice over {:?}", bolt11.amount_msat);
    ensure!(Some(bolt11.payee.to_string()) == node.pubkey, "an invoice of {}", bolt11.payee);
    Ok(())
}

/// Everything that is marked as ours is a setup's.
pub async fn no_orphans(scene: &Scene) -> Result<()> {
    let orphans = orphans::find(&scene.jobs).await?;
    ensure!(orphans.is_empty(), "{} orphans: {orphans:?}", orphans.len());
    Ok(())
}

/// Of the whole world: nothing there that no setup owns, nothing half written, and the audit log as it was written.
pub async fn nothing_left_over(scene: &Scene, users: i64) -> Result<()> {
    no_orphans(scene).await?;
    for (what, sql) in [
        ("setups", "SELECT count(*) FROM lightning_setups WHERE state = 'finished'"),
        ("other setups", "SELECT $ - count(*) FROM lightning_setups"),
        ("addresses", "SELECT count(*) FROM lightning_addresses"),
        ("activations", "SELECT count(*) FROM audit_logs WHERE action = 'setup.activated'"),
    ] {
        let expected = if sql.contains('$') { 0 } else { users };
        let found = scene.number(&sql.replace('$', &users.to_string())).await?;
        ensure!(found == expected, "{found} {what}, expected {expected}");
    }
    let document = scene.world.sandbox.secrets().get("satchel/audit").context("no audit key")?;
    let key =
        AuditKey::try_from(serde_json::from_str::<AuditDocument>(&document)?).map_err(anyhow::Error::msg)?;
    let verified = audit::verify(&scene.admin, &key).await?;
    verified.map_err(|broken| anyhow::anyhow!("the audit log is not what was written: {broken}"))?;
    Ok(())
}
