//! The three providers together, played by the sandbox: from no node to a paid invoice, and what is known after each
//! thing that can go wrong on the way.

use sandbox::lnd::{Delay, Node};
use sandbox::{Misbehaviour, Route, Sandbox, Service, When};
use shared::btcpay::{Btcpay, InvoiceStatus, LightningNode, NewInvoice, Store};
use shared::crypto::Secret;
use shared::lightning::bolt11::Expected;
use shared::lightning::macaroon::{ADMIN_OPS, Verdict, mint};
use shared::lightning::{Bolt11, Macaroon, Network, Op};
use shared::lnd::{Lnd, Seed, WalletKeys, WalletState};
use shared::upstream::{Failure, Pins, code};
use shared::voltage::{NodeStatus, Voltage};
use testing::Result;
use uuid::Uuid;

use crate::ground::{Ground, RETRY, upstream_with, verdict};

const ROOT_KEY: [u8; 32] = [0x5a; 32];
const ORDER: Uuid = Uuid::from_u128(0x019b_a2a0_b600_7000_8000_0000_0000_0001);
const INVOICE_OPS: [(&str, &str); 3] = [
    ("uri", "/lnrpc.Lightning/AddInvoice"),
    ("uri", "/lnrpc.Lightning/GetInfo"),
    ("uri", "/lnrpc.Lightning/LookupInvoice"),
];

struct World {
    ground: Ground,
    voltage: Voltage,
    btcpay: Btcpay,
}

impl World {
    async fn new() -> Result<Self> {
        let ground = Ground::new().await?;
        for (name, key) in [("btcpay", "sandbox-btcpay-key"), ("voltage", "sandbox-voltage-key")] {
            ground.sandbox.secrets().put(&format!("satchel/{name}"), &format!(r#"{{"api_key":"{key}"}}"#));
        }
        let ground = ground.with("VOLTAGE_NETWORK", "regtest").with("VOLTAGE_NODE_CERTIFICATE", "pinned");
        let node_url = format!("{}/{{api_endpoint}}", ground.sandbox.tls().base_url());
        let ground = ground.with("VOLTAGE_NODE_URL", &node_url);
        ground.sandbox.voltage().set_delay(Delay { polls: 0, milliseconds: 0 });
        ground.sandbox.btcpay().set_loopback_allowed(true);
        let voltage = ground.voltage(&ground.sandbox.voltage().url()).await?;
        let btcpay = ground.btcpay(&ground.sandbox.btcpay().base_url()).await?;
        Ok(Self { ground, voltage, btcpay })
    }

    fn sandbox(&self) -> &Sandbox {
        &self.ground.sandbox
    }

    /// A node from Voltage, reached under its own certificate.
    async fn node(&self, name: &str) -> Result<(Lnd, String, Pins)> {
        let id = self.voltage.create_node(name).await?;
        let node = self.voltage.node(&id).await?;
        assert_eq!((node.name.as_str(), &node.status), (name, &NodeStatus::WaitingInit));
        let url = self.voltage.node_url(&node.api_endpoint.unwrap_or_default());
        let pins = self.voltage.pins(&id).await?;
        Ok((Lnd::at(&upstream_with(&[]), &url, &pins)?, url, pins))
    }

    fn once(&self, service: Service, path: &str, misbehave: Misbehaviour) -> Result<()> {
        let route = Route { service: Some(service), method: None, path: path.to_owned() };
        self.sandbox().faults().add(route, When::Times(1), misbehave)
    }
}

fn password() -> Secret<String> {
    Secret::new("correct horse battery".to_owned())
}

async fn init(lnd: &Lnd, seed: &Seed) -> Result<(), shared::upstream::UpstreamError> {
    let (password, root_key) = (password(), Secret::new(ROOT_KEY));
    lnd.init_wallet(&WalletKeys { seed, password: &password, root_key: &root_key }).await
}

fn admin() -> Macaroon {
    mint(&ROOT_KEY, 0, ADMIN_OPS, [9; 16])
}

fn invoice_ops() -> Vec<Op> {
    INVOICE_OPS
        .iter()
        .map(|(entity, action)| Op { entity: (*entity).into(), action: (*action).into() })
        .collect()
}

#[tokio::test]
async fn from_nothing_to_an_invoice_that_can_be_paid() -> Result<()> {
    // given a node with a wallet of our making
    let world = World::new().await?;
    let (lnd, url, pins) = world.node("satchel-t-alice").await?;
    assert_eq!(lnd.state().await?, WalletState::NonExisting);
    let seed = lnd.gen_seed().await?;
    init(&lnd, &seed).await?;
    assert_eq!(lnd.state().await?, WalletState::ServerActive);
    let info = lnd.info(&admin()).await?;
    assert_eq!(info.network, Some(Network::Regtest));

    // when it is connected to a store
    let macaroon = lnd.bake(&admin(), &invoice_ops(), 7001).await?;
    assert_eq!(macaroon.judge(), Verdict::Narrow);
    assert_eq!(lnd.info(&macaroon).await?, info);
    let store = world.btcpay.create_store("alice", "https://w/#mark").await?;
    assert_eq!(
        world.btcpay.list_stores().await?,
        [Store { website: Some("https://w/#mark".into()), ..store.clone() }]
    );
    let node = LightningNode { url: &url, macaroon: &macaroon, certificate_sha256: pins.0.first().copied() };
    world.btcpay.connect_lightning(&store.id, &node).await?;
    let secret = Secret::new("a secret of ours".to_owned());
    let webhook = world.btcpay.create_webhook(&store.id, "https://us.example/h", &secret).await?;
    assert_eq!(world.btcpay.list_webhooks(&store.id).await?, std::slice::from_ref(&webhook));

    // then an invoice of the store is the node's, and for what was asked
    let new =
        NewInvoice { order_id: ORDER, amount_msat: 50_000_000, description: "Coffee", expiry_minutes: 15 };
    let invoice = world.btcpay.create_invoice(&store.id, &new).await?;
    assert_eq!(world.btcpay.find_invoices(&store.id, ORDER).await?, std::slice::from_ref(&invoice));
    let bolt11 = Bolt11::parse(&world.btcpay.bolt11(&store.id, &invoice.id).await?)?;
    bolt11.check(&Expected {
        network: Network::Regtest,
        amount_msat: 50_000_000,
        payment_hash: None,
        payee: Some(info.pubkey),
        now: invoice.created_at,
    })?;
    world.sandbox().btcpay().pay_invoice(store.id.as_str(), invoice.id.as_str())?;
    assert_eq!(world.btcpay.invoice(&store.id, &invoice.id).await?.status, InvoiceStatus::Settled);

    // and all of it can be taken down, twice
    for _ in 0..2 {
        world.btcpay.delete_webhook(&store.id, &webhook.id).await?;
    }
    lnd.revoke(&admin(), 7001).await?;
    lnd.revoke(&admin(), 7001).await?;
    assert_eq!(verdict(lnd.info(&macaroon).await), (code::LND_MACAROON_REFUSED, Failure::Final));
    let id = world.voltage.list_nodes().await?.remove(0).id;
    for _ in 0..2 {
        world.btcpay.delete_store(&store.id).await?;
        world.voltage.delete_node(&id).await?;
    }
    assert_eq!(world.voltage.list_nodes().await?, []);
    assert_eq!(world.btcpay.list_stores().await?, []);
    Ok(())
}

/// The sandbox bakes as LND does, and shares no code with us.
#[tokio::test]
async fn what_is_minted_is_byte_for_byte_what_is_baked() -> Result<()> {
    let world = World::new().await?;
    let (lnd, ..) = world.node("satchel-t-mint").await?;
    init(&lnd, &lnd.gen_seed().await?).await?;
    let node: Node = world.sandbox().nodes().get("satchel-t-mint").unwrap();
    let baked = node.admin_macaroon;
    // Where the nonce stands, behind `0201036c6e6402f801030a10`.
    let nonce = data_encoding::HEXLOWER.decode(&baked.as_bytes()[24..56])?;
    let minted = mint(&ROOT_KEY, 0, ADMIN_OPS, nonce.as_slice().try_into()?);
    assert_eq!(*minted.to_hex(), baked);
    Ok(())
}

#[tokio::test]
async fn a_wallet_made_twice_of_the_same_secrets_is_one_and_of_others_is_found_out() -> Result<()> {
    let world = World::new().await?;
    let (lnd, ..) = world.node("satchel-t-bob").await?;
    let seed = lnd.gen_seed().await?;

    // given a wallet made, and the answer lost: the second try finds it made
    world.once(Service::Lnd, "/satchel-t-bob", Misbehaviour::CloseAfter)?;
    assert_eq!(verdict(init(&lnd, &seed).await), (code::LND_WALLET_EXISTS, Failure::Final));
    lnd.info(&admin()).await?;

    // but a stranger's wallet does not let us in
    world.sandbox().voltage().strangers_take_next(1);
    let id = world.voltage.create_node("satchel-t-carol").await?;
    let url = world.voltage.node_url("satchel-t-carol.t.voltageapp.io");
    let lnd = Lnd::at(&upstream_with(&[]), &url, &world.voltage.pins(&id).await?)?;
    assert_eq!(verdict(init(&lnd, &seed).await), (code::LND_WALLET_EXISTS, Failure::Final));
    assert_eq!(verdict(lnd.info(&admin()).await), (code::LND_MACAROON_REFUSED, Failure::Final));
    Ok(())
}

#[tokio::test]
async fn a_node_that_restarted_waits_for_its_password() -> Result<()> {
    let world = World::new().await?;
    let (lnd, ..) = world.node("satchel-t-dave").await?;
    init(&lnd, &lnd.gen_seed().await?).await?;
    world.sandbox().nodes().get("satchel-t-dave").unwrap().restart();
    assert_eq!(lnd.state().await?, WalletState::Locked);
    assert_eq!(verdict(lnd.info(&admin()).await), (code::LND_WALLET_LOCKED, RETRY));
    let wrong = Secret::new("wrong horse battery".to_owned());
    assert_eq!(verdict(lnd.unlock(&wrong).await), (code::LND_PASSWORD_REFUSED, Failure::Final));
    lnd.unlock(&password()).await?;
    lnd.unlock(&password()).await?;
    lnd.info(&admin()).await?;
    Ok(())
}

#[tokio::test]
async fn of_two_nodes_under_one_name_there_is_one() -> Result<()> {
    let world = World::new().await?;
    let id = world.voltage.create_node("satchel-t-erin").await?;
    let again = world.voltage.create_node("satchel-t-erin").await;
    assert_eq!(verdict(again), (code::VOLTAGE_NAME_TAKEN, Failure::Final));
    let nodes = world.voltage.list_nodes().await?;
    assert_eq!(nodes.iter().map(|node| &node.id).collect::<Vec<_>>(), [&id]);
    Ok(())
}

#[tokio::test]
async fn an_ambiguous_answer_has_made_at_most_one_thing() -> Result<()> {
    let world = World::new().await?;
    for (misbehave, made) in [
        (Misbehaviour::FailAfter { status: 500, body: String::new() }, 1),
        (Misbehaviour::FailBefore { status: 503, body: String::new() }, 0),
        (Misbehaviour::CloseAfter, 1),
        (Misbehaviour::CloseBefore, 0),
        (Misbehaviour::CutBody { bytes: 5 }, 1),
        (Misbehaviour::Garbage, 1),
    ] {
        let before = world.btcpay.list_stores().await?.len();
        world.once(Service::Btcpay, "/btcpay/api/v1/stores", misbehave.clone())?;
        let outcome = world.btcpay.create_store("alice", "https://w/#mark").await;
        assert_eq!(verdict(outcome).1, Failure::Ambiguous, "{misbehave:?}");
        assert_eq!(world.btcpay.list_stores().await?.len(), before + made, "{misbehave:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_busy_provider_is_waited_for_and_makes_one_thing() -> Result<()> {
    let world = World::new().await?;
    world.once(Service::Voltage, "/voltage/node/create", Misbehaviour::RateLimited { retry_after: 1 })?;
    world.voltage.create_node("satchel-t-frank").await?;
    assert_eq!(world.voltage.list_nodes().await?.len(), 1);
    assert_eq!(world.sandbox().calls_to(Service::Voltage, "/voltage/node/create"), 2);
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_and_a_full_account_are_final() -> Result<()> {
    let world = World::new().await?;
    world.sandbox().btcpay().set_store_quota(Some(0));
    let made = world.btcpay.create_store("alice", "https://w").await;
    assert_eq!(verdict(made), (code::BTCPAY_STORE_LIMIT, Failure::Final));
    world.sandbox().btcpay().revoke_key("sandbox-btcpay-key");
    world.sandbox().voltage().revoke_key("sandbox-voltage-key");
    assert_eq!(verdict(world.btcpay.list_stores().await), (code::BTCPAY_KEY_REFUSED, Failure::Final));
    assert_eq!(verdict(world.voltage.list_nodes().await), (code::VOLTAGE_KEY_REFUSED, Failure::Final));
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_was_replaced_is_pinned_anew() -> Result<()> {
    let world = World::new().await?;
    let (lnd, url, _) = world.node("satchel-t-grace").await?;
    lnd.state().await?;
    world.sandbox().tls().replace_certificate()?;
    let upstream = upstream_with(&[]);
    let id = world.voltage.list_nodes().await?.remove(0).id;
    let pins = world.voltage.pins(&id).await?;
    Lnd::at(&upstream, &url, &pins)?.state().await?;
    Ok(())
}
