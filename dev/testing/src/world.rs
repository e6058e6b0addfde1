//! A world for one test: a database, a sandbox, a clock that stands still, and functions wired as the template
//! says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::Context;
use gateway::Template;
use sandbox::lnd::{Node, NodeOptions};
use sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;
use shared::account::{self, IdentityKind};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::roles::Role;
use shared::db::{self, Db, Type};
use shared::fresh::{self, SigningAlgorithm};
use shared::lightning::{Did, Pubkey};
use shared::random::Random;
use shared::session::{Device, NewSession, Sessions};
use shared::token::{AccessGrant, TokenIssuer};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::database::TestDb;
use crate::deployment;

/// Making an RSA key takes long enough to do it once.
static SIGNING: LazyLock<Value> =
    LazyLock::new(|| fresh::signing(SigningAlgorithm::Rs256).unwrap_or_default());

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The host that stands in every text to sign.
pub const DOMAIN: &str = "app.example.com";
pub const ISSUER_URL: &str = "https://api.example.com";
pub const AUDIENCE: &str = "satchel";
pub const LIGHTNING_ADDRESS_DOMAIN: &str = "pay.example.com";

/// What the operator has to say and no default can.
fn parameters() -> BTreeMap<String, String> {
    let given = [
        ("AppDomain", DOMAIN),
        ("IssuerUrl", ISSUER_URL),
        ("TokenAudience", AUDIENCE),
        ("DeploymentId", "test"),
        ("LightningAddressDomain", LIGHTNING_ADDRESS_DOMAIN),
    ];
    given.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub struct World {
    pub db: TestDb,
    pub sandbox: Sandbox,
    template: Template,
    now: Arc<Mutex<OffsetDateTime>>,
}

/// A user with a session, made without the sign-in endpoints.
pub struct SignedIn {
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub did: Did,
    pub access_token: String,
    pub refresh_token: String,
}

impl World {
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_on(TestDb::create().await?).await
    }

    /// As [`World::start`], on a database the test made itself.
    pub async fn start_on(db: TestDb) -> anyhow::Result<Self> {
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        deployment::put_secrets(&sandbox.secrets(), &db.address()?, &db.passwords, &SIGNING)?;
        let template = Template::load(root().join("template.yaml"), &parameters())?;
        let now = Arc::new(Mutex::new(datetime!(2026-01-09 12:00 UTC)));
        Ok(Self { db, sandbox, template, now })
    }

    pub fn now(&self) -> OffsetDateTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass for every function wired to this world.
    pub fn advance(&self, by: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    pub fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::from_fn(move || *now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The environment of a function: what the template gives it, and where this world is.
    pub fn environment(&self, function: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let found = self.template.functions.iter().find(|found| found.name == function);
        let mut environment =
            found.with_context(|| format!("{function} is not in template.yaml"))?.environment.clone();
        environment.extend(deployment::local_environment(self.sandbox.base_url()));
        Ok(environment)
    }

    pub fn config(&self, environment: BTreeMap<String, String>) -> Config {
        Config::new(environment, self.clock(), Random::system())
    }

    /// A function's dependencies, wired as `main` would; every secret is checked.
    pub async fn wire<D>(&self, function: &str, wire: impl FnOnce(&mut Config) -> D) -> anyhow::Result<D> {
        self.wire_with(function, &[], wire).await
    }

    /// As [`World::wire`], with some variables changed.
    pub async fn wire_with<D>(
        &self,
        function: &str,
        changed: &[(&str, &str)],
        wire: impl FnOnce(&mut Config) -> D,
    ) -> anyhow::Result<D> {
        let mut environment = self.environment(function)?;
        environment.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut config = self.config(environment);
        let deps = wire(&mut config);
        config.finish().await?;
        Ok(deps)
    }

    /// A node with a wallet, at the sandbox.
    pub fn node(&self, name: &str) -> anyhow::Result<Node> {
        self.sandbox.nodes().create(name, NodeOptions::default())
    }

    /// An account for `did`, bound to the node's key, with a session its node has just signed for.
    pub async fn sign_in(&self, did: &str, pubkey: &str) -> anyhow::Result<SignedIn> {
        let did: Did = did.parse()?;
        let pubkey: Pubkey = pubkey.parse()?;
        let user_id = Random::system().id(self.now());
        let client = self.db.connect(Role::Auth).await?;
        let created = account::create(&client, user_id, &did, pubkey, self.now()).await;
        created.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        self.open_session(user_id, did, pubkey).await
    }

    /// Another session of an account that is there.
    pub async fn sign_in_again(&self, user: &SignedIn, pubkey: &str) -> anyhow::Result<SignedIn> {
        self.open_session(user.user_id, user.did, pubkey.parse()?).await
    }

    /// The same account as an administrator, with a session that says so.
    pub async fn make_admin(&self, user: &SignedIn, pubkey: &str) -> anyhow::Result<SignedIn> {
        let grant = "INSERT INTO admins (user_id, granted_at) VALUES ($1, now()) ON CONFLICT DO NOTHING";
        db::execute(&self.db.admin().await?, grant, &[(&user.user_id, Type::UUID)]).await?;
        self.sign_in_again(user, pubkey).await
    }

    async fn open_session(&self, user_id: Uuid, did: Did, pubkey: Pubkey) -> anyhow::Result<SignedIn> {
        let (now, random) = (self.now(), Random::system());
        let (db, issuer, sessions) = self
            .wire("verify_lightning_signature", |config| {
                (Db::wire(config), TokenIssuer::wire(config), Sessions::wire(config))
            })
            .await?;
        let connection = db.connection().await?;
        let client = connection.client();
        let session = NewSession {
            id: random.id(now),
            user_id,
            identity: (IdentityKind::Did, &did.to_string()),
            pubkey: Some(pubkey),
            ip: None,
            user_agent: None,
            device: Device::default(),
            now,
        };
        let refresh = sessions.open(client, &session).await;
        let refresh = refresh.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let admin = account::is_admin(client, user_id).await?;
        let grant = AccessGrant { user_id, session_id: session.id, token_id: random.id(now), admin };
        let token = issuer.access(client, &grant, now).await?;
        Ok(SignedIn {
            user_id,
            session_id: session.id,
            did,
            access_token: token.expose().clone(),
            refresh_token: refresh.expose().clone(),
        })
    }
}
