//! The secrets a setup came to, from those who have them: the providers, and the sealed columns, opened.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use data_encoding::{BASE64, HEXLOWER};
use e2e::{Client, Result, Stack};
use sandbox::lnd::Node;
use serde_json::json;
use shared::crypto::{Field, KeyRing, Purpose, SealingKeys};
use shared::lightning::macaroon::{ADMIN_OPS, mint};
use shared::setup::Setup;
use tokio_postgres::types::Type;

use super::canary::Canaries;

/// Where a setup keeps what it must not lose.
const COLUMNS: [(&str, Purpose); 5] = [
    ("password_sealed", Purpose::Wallet),
    ("root_key_sealed", Purpose::Wallet),
    ("seed_sealed", Purpose::Wallet),
    ("macaroon_sealed", Purpose::Macaroon),
    ("webhook_secret_sealed", Purpose::BtcpayConfig),
];

/// What was found so far, so that no secret is looked for twice.
#[derive(Default)]
pub struct Harvest(BTreeSet<Vec<u8>>);

impl Harvest {
    /// Makes canaries of everything secret there is of this setup by now.
    pub async fn gather(&mut self, stack: &Stack, username: &str, canaries: &mut Canaries) -> Result<()> {
        let setup = stack.setup(username).await?;
        for (column, secret) in sealed(stack, &setup).await? {
            if !self.0.insert(secret.clone()) {
                continue;
            }
            let text = String::from_utf8_lossy(&secret).into_owned();
            let name = format!("{column} of {username}");
            match column {
                "root_key_sealed" => canaries.bytes(&name, &secret),
                "seed_sealed" => canaries.words(&name, &words(&text)),
                _ => canaries.text(&name, &text),
            }
        }
        for webhook in store_of(stack, &setup).iter().flat_map(|store| &store.webhooks) {
            self.text(&format!("webhook secret of {username}"), &webhook.secret, canaries);
        }
        let methods = store_of(stack, &setup).and_then(|store| store.payment_method);
        if let Some(connection) = methods.map(|method| method.connection_string) {
            let macaroon = connection.split("macaroon=").nth(1).and_then(|rest| rest.split(';').next());
            self.text(&format!("connection string of {username}"), &connection, canaries);
            self.text(&format!("connected macaroon of {username}"), macaroon.unwrap_or_default(), canaries);
        }
        Ok(())
    }

    fn text(&mut self, name: &str, secret: &str, canaries: &mut Canaries) {
        if self.0.insert(secret.as_bytes().to_vec()) {
            canaries.text(name, secret);
        }
    }
}

pub fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn store_of(stack: &Stack, setup: &Setup) -> Option<sandbox::btcpay::Store> {
    stack.sandbox.btcpay().store(setup.btcpay_store_id.as_deref()?)
}

/// The keys the functions seal with.
pub fn ring(stack: &Stack) -> Result<KeyRing> {
    let sealing = stack.sandbox.secrets().get("satchel/sealing").context("no sealing keys")?;
    KeyRing::try_from(serde_json::from_str::<SealingKeys>(&sealing)?).map_err(anyhow::Error::msg)
}

/// The sealed columns that hold something, opened.
async fn sealed(stack: &Stack, setup: &Setup) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let ring = ring(stack)?;
    let all = "SELECT password_sealed, root_key_sealed, seed_sealed, macaroon_sealed, webhook_secret_sealed
               FROM lightning_setup_secrets WHERE setup_id = $1";
    let rows = stack.admin().await?.query_typed(all, &[(&setup.id, Type::UUID)]).await?;
    let mut opened = Vec::new();
    for row in rows {
        for (column, purpose) in COLUMNS {
            let Some(sealed) = row.get::<_, Option<&[u8]>>(column) else { continue };
            let field = Field { purpose, table: "lightning_setup_secrets", column, row: setup.id.as_bytes() };
            opened.push((column, ring.open(field, sealed)?.expose().clone()));
        }
    }
    Ok(opened)
}

/// That these are the wallet's: its node honours a macaroon of the root key, and opens to the password.
pub async fn are_the_wallets(stack: &Stack, setup: &Setup, node: &Node) -> Result<()> {
    let opened = sealed(stack, setup).await?;
    let of = |wanted: &str| {
        let found = opened.iter().find(|(column, _)| *column == wanted);
        found.map(|(_, secret)| secret.as_slice()).with_context(|| format!("no {wanted}"))
    };
    let lnd = Client::new(node.base_url.clone());
    let macaroon = mint(of("root_key_sealed")?.try_into()?, 0, ADMIN_OPS, [7; 16]);
    let info =
        lnd.get("/v1/getinfo").header("grpc-metadata-macaroon", macaroon.to_hex().as_str()).ok().await?;
    ensure!(info["identity_pubkey"] == node.pubkey.as_str(), "{info}");
    node.restart();
    let password = json!({ "wallet_password": BASE64.encode(of("password_sealed")?) });
    lnd.post("/v1/unlockwallet", &password).ok().await?;
    ensure!(words(&String::from_utf8_lossy(of("seed_sealed")?)).len() == 24, "no seed");
    Ok(())
}

/// What makes a macaroon one: the rest of it is what it may do.
pub fn signature(macaroon: &str) -> Result<Vec<u8>> {
    let bytes = HEXLOWER.decode(macaroon.as_bytes())?;
    Ok(bytes[bytes.len() - 32..].to_vec())
}
