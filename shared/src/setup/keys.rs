//! What a setup makes and must not lose, sealed where it is kept. Whatever is read back leaves an audit row.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::row::Setup;
use super::run::Run;
use super::{Saga, SetupError, WalletAccess};
use crate::crypto::{Field, KeyRing, Purpose, Secret};
use crate::db::{GenericClient, Type, execute, query_opt};
use crate::lightning::Macaroon;
use crate::lnd::{Seed, WalletKeys};
use crate::random::Random;

const TABLE: &str = "lightning_setup_secrets";
/// LND's own least is 8; this is 256 bits.
const PASSWORD_BYTES: usize = 32;

/// All a wallet is made of, and opened with.
pub(super) struct Wallet {
    /// Gone as soon as it was handed over; only making the wallet takes it.
    pub(super) seed: Option<Seed>,
    pub(super) password: Secret<String>,
    pub(super) root_key: Secret<[u8; 32]>,
}

impl Wallet {
    pub(super) fn keys(&self) -> Option<WalletKeys<'_>> {
        let seed = self.seed.as_ref()?;
        Some(WalletKeys { seed, password: &self.password, root_key: &self.root_key })
    }
}

/// What this run made or read, so that nothing is read twice.
#[derive(Default)]
pub(super) struct Held {
    pub(super) wallet: Option<Wallet>,
    pub(super) macaroon: Option<Macaroon>,
    pub(super) webhook_secret: Option<Secret<String>>,
}

/// What a step made, to be sealed in the transaction that ends it.
#[derive(Default)]
pub(super) struct Made {
    pub(super) wallet: Option<Wallet>,
    pub(super) macaroon: Option<Macaroon>,
    pub(super) webhook_secret: Option<Secret<String>>,
}

/// Where one of a setup's secrets is sealed to.
pub(crate) fn field<'a>(setup_id: &'a Uuid, column: &'static str) -> Field<'a> {
    let purpose = match column {
        "macaroon_sealed" => Purpose::Macaroon,
        "webhook_secret_sealed" => Purpose::BtcpayConfig,
        _ => Purpose::Wallet,
    };
    Field { purpose, table: TABLE, column, row: setup_id.as_bytes() }
}

/// A password and a root key of our own, and the seed the node proposed.
pub(super) fn fresh_wallet(seed: Seed, random: &Random) -> Wallet {
    let password = Secret::new(BASE64.encode(&random.bytes::<PASSWORD_BYTES>()));
    Wallet { seed: Some(seed), password, root_key: Secret::new(random.bytes()) }
}

pub(super) fn fresh_webhook_secret(random: &Random) -> Secret<String> {
    Secret::new(data_encoding::HEXLOWER.encode(&random.bytes::<32>()))
}

impl Held {
    /// Keeps what a step made for the steps behind it.
    pub(super) fn take(&mut self, made: Made) {
        self.wallet = made.wallet.or(self.wallet.take());
        self.macaroon = made.macaroon.or(self.macaroon.take());
        self.webhook_secret = made.webhook_secret.or(self.webhook_secret.take());
    }
}

/// Seals what a step made. Statements that only write: the role that runs most setups may not read these back.
pub(super) async fn keep(
    client: &impl GenericClient,
    saga: &Saga,
    setup: &Setup,
    made: &Made,
    ring: &KeyRing,
) -> Result<(), SetupError> {
    let now = saga.clock.now();
    let seal = |column, plain: &[u8]| ring.seal(field(&setup.id, column), plain, now, &saga.random);
    let owner =
        [(&setup.id as &(dyn tokio_postgres::types::ToSql + Sync), Type::UUID), (&setup.user_id, Type::UUID)];
    if let Some(wallet) = &made.wallet {
        let password = seal("password_sealed", wallet.password.expose().as_bytes())?;
        let root_key = seal("root_key_sealed", wallet.root_key.expose())?;
        let seed = wallet.seed.as_ref().map(|seed| seal("seed_sealed", seed.to_text().expose().as_bytes()));
        let seed = seed.transpose()?;
        let params =
            [(&password as _, Type::BYTEA), (&root_key as _, Type::BYTEA), (&seed as _, Type::BYTEA)];
        execute(
            client,
            "INSERT INTO lightning_setup_secrets (setup_id, user_id, password_sealed, root_key_sealed, seed_sealed)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT ON CONSTRAINT lightning_setup_secrets_pkey
             DO UPDATE SET password_sealed = $3, root_key_sealed = $4, seed_sealed = $5",
            &[owner.as_slice(), &params].concat(),
        )
        .await?;
    }
    if let Some(macaroon) = &made.macaroon {
        let sealed = seal("macaroon_sealed", macaroon.to_hex().as_bytes())?;
        execute(
            client,
            "INSERT INTO lightning_setup_secrets (setup_id, user_id, macaroon_sealed) VALUES ($1, $2, $3)
             ON CONFLICT ON CONSTRAINT lightning_setup_secrets_pkey DO UPDATE SET macaroon_sealed = $3",
            &[owner.as_slice(), &[(&sealed as _, Type::BYTEA)]].concat(),
        )
        .await?;
    }
    if let Some(secret) = &made.webhook_secret {
        let sealed = seal("webhook_secret_sealed", secret.expose().as_bytes())?;
        execute(
            client,
            "INSERT INTO lightning_setup_secrets (setup_id, user_id, webhook_secret_sealed) VALUES ($1, $2, $3)
             ON CONFLICT ON CONSTRAINT lightning_setup_secrets_pkey DO UPDATE SET webhook_secret_sealed = $3",
            &[owner.as_slice(), &[(&sealed as _, Type::BYTEA)]].concat(),
        )
        .await?;
    }
    Ok(())
}

/// The wallet's keys: those this run holds, else those on record, for whoever may read them. `None` leaves the
/// setup to somebody who may.
pub(super) async fn wallet<'r>(
    run: &'r mut Run<'_>,
    setup: &Setup,
) -> Result<Option<&'r Wallet>, SetupError> {
    if run.held.wallet.is_none() && run.saga.wallet_access == WalletAccess::Read {
        let read = run
            .read_secrets(setup, "wallet.read", "SELECT password_sealed, root_key_sealed, seed_sealed FROM lightning_setup_secrets WHERE setup_id = $1")
            .await?;
        let missing = SetupError::Unusable("WALLET_KEYS_MISSING");
        let Ok([Some(password), Some(root_key), seed]) = <[_; 3]>::try_from(read) else {
            return Err(missing);
        };
        let Ok(root_key) = <[u8; 32]>::try_from(root_key.expose().as_slice()) else { return Err(missing) };
        let seed = seed.and_then(|seed| Seed::from_text(text(&seed).expose()).ok());
        run.held.wallet = Some(Wallet { seed, password: text(&password), root_key: Secret::new(root_key) });
    }
    Ok(run.held.wallet.as_ref())
}

/// The invoice macaroon: the one baked, or the one its owner registered.
pub(super) async fn macaroon<'r>(run: &'r mut Run<'_>, setup: &Setup) -> Result<&'r Macaroon, SetupError> {
    if run.held.macaroon.is_none() {
        let found = run
            .read_secrets(
                setup,
                "macaroon.read",
                "SELECT macaroon_sealed FROM lightning_setup_secrets WHERE setup_id = $1",
            )
            .await?;
        let hex = found.into_iter().next().flatten().ok_or(SetupError::Unusable("MACAROON_MISSING"))?;
        run.held.macaroon = Macaroon::parse(text(&hex).expose()).ok();
    }
    run.held.macaroon.as_ref().ok_or(SetupError::Unusable("MACAROON_MISSING"))
}

/// The webhook's secret, chosen by us before BTCPay heard of it.
pub(super) async fn webhook_secret<'r>(
    run: &'r mut Run<'_>,
    setup: &Setup,
) -> Result<&'r Secret<String>, SetupError> {
    if run.held.webhook_secret.is_none() {
        let found = run
            .read_secrets(
                setup,
                "webhook_secret.read",
                "SELECT webhook_secret_sealed FROM lightning_setup_secrets WHERE setup_id = $1",
            )
            .await?;
        run.held.webhook_secret = found.into_iter().next().flatten().as_ref().map(text);
    }
    run.held.webhook_secret.as_ref().ok_or(SetupError::Unusable("WEBHOOK_SECRET_MISSING"))
}

fn text(bytes: &Secret<Vec<u8>>) -> Secret<String> {
    Secret::new(String::from_utf8_lossy(bytes.expose()).into_owned())
}

/// A registered node as its owner gave it: address, macaroon, and the certificate nobody vouches for.
pub(super) struct RegisteredNode {
    pub(super) url: String,
    pub(super) macaroon: Macaroon,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) pubkey: String,
}

pub(super) async fn registered_node(run: &Run<'_>, setup: &Setup) -> Result<RegisteredNode, SetupError> {
    const INCOMPLETE: SetupError = SetupError::Unusable("NODE_NOT_REGISTERED");
    let ring = run.saga.sealing.get().await?;
    let mut connection = run.saga.db.connection().await?;
    let tx = run.begin(&mut connection, setup).await?;
    let row = query_opt(
        &tx,
        "SELECT endpoint, macaroon_sealed, tls_cert_sha256, pubkey FROM nodes WHERE user_id = $1",
        &[(&setup.user_id, Type::UUID)],
    )
    .await?;
    let row = row.ok_or(INCOMPLETE)?;
    let (Some(url), Some(sealed)) =
        (row.get::<_, Option<String>>("endpoint"), row.get::<_, Option<Vec<u8>>>("macaroon_sealed"))
    else {
        return Err(INCOMPLETE);
    };
    let opened = ring.open(crate::node::macaroon_field(&setup.user_id), &sealed)?;
    run.note_read(&tx, setup, "macaroon.read").await?;
    crate::db::commit(tx).await?;
    let macaroon = Macaroon::parse(text(&opened).expose()).map_err(|_| INCOMPLETE)?;
    Ok(RegisteredNode { url, macaroon, certificate: row.get("tls_cert_sha256"), pubkey: row.get("pubkey") })
}

/// What `lightning_addresses.btcpay_config_sealed` opens to.
#[derive(Serialize, Deserialize)]
pub struct BtcpayConfig {
    pub store_id: String,
    pub webhook_id: String,
    #[serde(serialize_with = "exposed")]
    pub webhook_secret: Secret<String>,
}

/// What `lightning_addresses.node_config_sealed` opens to.
#[derive(Serialize, Deserialize)]
pub struct NodeConfig {
    pub url: String,
    pub pubkey: Option<String>,
    /// In hex; for invoices and nothing else.
    #[serde(serialize_with = "exposed")]
    pub macaroon: Secret<String>,
    pub certificate_sha256: Option<String>,
}

/// Only ever into a buffer that is sealed in the next line.
fn exposed<S: serde::Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// Where an account's BTCPay configuration is sealed to.
pub fn btcpay_config_field(user_id: &Uuid) -> Field<'_> {
    Field {
        purpose: Purpose::BtcpayConfig,
        table: "lightning_addresses",
        column: "btcpay_config_sealed",
        row: user_id.as_bytes(),
    }
}

/// Where an account's node configuration is sealed to.
pub fn node_config_field(user_id: &Uuid) -> Field<'_> {
    Field {
        purpose: Purpose::NodeConfig,
        table: "lightning_addresses",
        column: "node_config_sealed",
        row: user_id.as_bytes(),
    }
}
