//! A user whose Lightning setup is done, without having run it.

use anyhow::Context;
use data_encoding::HEXLOWER;
use sandbox::lnd::Node;
use shared::btcpay::{Btcpay, LightningNode};
use shared::crypto::{KeyRing, SealingKeys, Secret};
use shared::lightning::Macaroon;
use shared::random::Random;
use shared::setup::{BtcpayConfig, btcpay_config_field};
use shared::upstream::Upstream;
use tokio_postgres::types::Type;

use crate::{SignedIn, World};

/// A store at the sandbox, on record as the user's, paid through the user's own node.
pub struct Store {
    pub id: String,
    pub webhook_id: String,
    pub webhook_secret: String,
}

impl World {
    /// Makes the store, connects the node, and activates the user's address.
    pub async fn give_store(&self, user: &SignedIn, node: &Node) -> anyhow::Result<Store> {
        let mut config = self.config(self.environment("setup_lightning")?);
        let upstream = Upstream::wire(&mut config);
        let btcpay = Btcpay::wire(&mut config, &upstream);
        let btcpay = btcpay.context("BTCPay is not configured")?;
        let made = btcpay.create_store(&node.name, "https://app.example.com").await?;
        let macaroon = Macaroon::parse(&node.invoice_macaroon).map_err(|error| anyhow::anyhow!("{error}"))?;
        let lightning = LightningNode { url: &node.base_url, macaroon: &macaroon, certificate_sha256: None };
        btcpay.connect_lightning(&made.id, &lightning).await?;
        let store = Store {
            id: made.id.to_string(),
            webhook_id: String::from("FgqQHNdZAVeZvkQJfcjyGm"),
            webhook_secret: HEXLOWER.encode(&Random::system().bytes::<32>()),
        };
        self.activate(user, &store).await?;
        Ok(store)
    }

    /// Puts the store on record as the user's, wherever it is.
    pub async fn activate(&self, user: &SignedIn, store: &Store) -> anyhow::Result<()> {
        let mut config = self.config(self.environment("setup_lightning")?);
        let ring = config.secret::<SealingKeys, KeyRing>("SEALING_SECRET").get().await?;
        let config = BtcpayConfig {
            store_id: store.id.clone(),
            webhook_id: store.webhook_id.clone(),
            webhook_secret: Secret::new(store.webhook_secret.clone()),
        };
        let plain = serde_json::to_vec(&config)?;
        let sealed = ring.seal(btcpay_config_field(&user.user_id), &plain, self.now(), &Random::system())?;
        let sql = "WITH setup AS (
                 INSERT INTO lightning_setups
                     (id, user_id, username, address, node_source, state, step, btcpay_store_id, btcpay_webhook_id,
                      due_at, created_at, updated_at, finished_at, settled_at)
                 SELECT id, $1, name, name || '@pay.example.com', 'registered', 'finished', 'activate', $2, $3,
                        $5, $5, $5, $5, $5
                 FROM (SELECT gen_random_uuid() AS id, 'u' || left(md5($2), 12) AS name) AS new
                 RETURNING *)
             INSERT INTO lightning_addresses
                 (user_id, setup_id, username, address, btcpay_store_id, node_id, btcpay_config_sealed,
                  node_config_sealed, created_at, updated_at)
             SELECT user_id, id, username, address, btcpay_store_id, 'node12', $4, '', $5, $5 FROM setup";
        let admin = self.db.admin().await?;
        admin
            .execute_typed(
                sql,
                &[
                    (&user.user_id, Type::UUID),
                    (&store.id, Type::TEXT),
                    (&store.webhook_id, Type::TEXT),
                    (&sealed, Type::BYTEA),
                    (&self.now(), Type::TIMESTAMPTZ),
                ],
            )
            .await?;
        Ok(())
    }
}
