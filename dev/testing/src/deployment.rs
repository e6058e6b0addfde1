//! A deployment from nothing, as docs/operations.md has the operator do it.

use std::collections::BTreeMap;

use anyhow::Context;
use sandbox::secrets_manager::Secrets;
use sandbox::{
    DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET, DISCORD_REDIRECT_URI, PRIVY_APP_ID, STRIPE_CONNECT_SECRET,
    STRIPE_KEY, STRIPE_PLATFORM_SECRET,
};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::crypto::Secret;
use shared::db::roles::{self, Role};
use shared::fresh::{self, DatabaseAddress, SigningAlgorithm};
use shared::migrations;
use shared::random::Random;
use tokio_postgres::{Client, NoTls};
use url::Url;

/// What every secret of a local world begins with, as `template.yaml`'s default has it.
pub const SECRET_PREFIX: &str = "satchel";

/// What the sandbox's BTCPay and Voltage let in.
pub const BTCPAY_KEY: &str = "sandbox-btcpay-key";
pub const VOLTAGE_KEY: &str = "sandbox-voltage-key";

/// Whom mails of a local world come from.
pub const MAIL_FROM: &str = "Satchel <hello@satchel.example>";

/// Parameters of the template that count requests a minute, with as many as nobody reaches on one machine.
pub const RELAXED_LIMITS: [(&str, &str); 11] = {
    let all = "1000000";
    [
        ("RateLimitSignInPerDid", all),
        ("RateLimitSignInPerAddress", all),
        ("RateLimitLoginPerAddressAndAccount", all),
        ("RateLimitLoginPerAccount", all),
        ("RateLimitRegisterPerAddress", all),
        ("RateLimitMailPerAccount", all),
        ("RateLimitMailPerAddress", all),
        ("RateLimitMailPerEmail", all),
        ("RateLimitPerSession", all),
        ("RateLimitRefreshPerSession", all),
        ("RateLimitRefreshPerAddress", all),
    ]
};

pub type Passwords = BTreeMap<Role, Secret<String>>;

/// Connects to a database on this machine and drives the connection in the background.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to Postgres")?;
    tokio::spawn(connection);
    Ok(client)
}

/// `url` with another database, and another user if one is given.
pub fn sibling(url: &str, database: &str, user: Option<(&str, &Secret<String>)>) -> anyhow::Result<String> {
    let mut url = Url::parse(url).context("the database URL is not a URL")?;
    url.set_path(database);
    if let Some((name, password)) = user {
        let set = url.set_username(name).and_then(|()| url.set_password(Some(password.expose())));
        set.map_err(|()| anyhow::anyhow!("the database URL takes no user"))?;
    }
    Ok(url.into())
}

pub fn address(url: &str, database: &str) -> anyhow::Result<DatabaseAddress> {
    let url = Url::parse(url).context("the database URL is not a URL")?;
    Ok(DatabaseAddress {
        host: url.host_str().unwrap_or("127.0.0.1").to_owned(),
        port: url.port().unwrap_or(5432),
        dbname: database.to_owned(),
        sslmode: "disable",
    })
}

/// Makes the five roles with new passwords.
pub async fn create_roles(admin: &Client) -> anyhow::Result<Passwords> {
    let random = Random::system();
    let mut passwords = Passwords::new();
    for role in Role::ALL {
        let password = fresh::password(&random);
        roles::create(admin, role, &password).await?;
        passwords.insert(role, password);
    }
    Ok(passwords)
}

/// Makes the database and brings its schema up to date.
pub async fn create_database(admin_url: &str, name: &str, passwords: &Passwords) -> anyhow::Result<()> {
    roles::create_database(&connect(admin_url).await?, name).await?;
    let password = passwords.get(&Role::Owner).context("the owner has no password")?;
    let url = sibling(admin_url, name, Some((Role::Owner.name(), password)))?;
    migrations::run(&mut connect(&url).await?, Clock::system().now()).await?;
    Ok(())
}

/// Puts a fresh value for every secret into the sandbox's Secrets Manager.
pub fn put_secrets(
    secrets: &Secrets,
    address: &DatabaseAddress,
    passwords: &Passwords,
    signing: &Value,
) -> anyhow::Result<()> {
    let (clock, random) = (Clock::system(), Random::system());
    let put = |name: &str, value: &Value| secrets.put(&format!("{SECRET_PREFIX}/{name}"), &value.to_string());
    for (role, password) in passwords {
        put(&format!("database/{}", role.short_name()), &fresh::database(address, *role, password));
    }
    put("signing", signing);
    // Long settled, so that a world whose clock stands in the past can seal with it.
    let created_at = clock.now() - time::Duration::days(365);
    put("sealing", &fresh::sealing(created_at, &random));
    put("audit", &fresh::audit(&random));
    put("marker", &fresh::marker(&random));
    put("btcpay", &json!({ "api_key": BTCPAY_KEY }));
    put("voltage", &json!({ "api_key": VOLTAGE_KEY }));
    put("stripe", &json!({ "api_key": STRIPE_KEY }));
    let endpoints = json!({ "platform": [STRIPE_PLATFORM_SECRET], "connect": [STRIPE_CONNECT_SECRET] });
    put("stripe-webhooks", &endpoints);
    let application = json!({ "client_id": DISCORD_CLIENT_ID, "client_secret": DISCORD_CLIENT_SECRET });
    put("discord", &application);
    // Without a verification key, so that it is fetched as in most deployments.
    put("privy", &json!({ "app_id": PRIVY_APP_ID }));
    Ok(())
}

/// Roles, database, migrations and secrets: all that functions need to start.
pub async fn install(admin_url: &str, database: &str, secrets: &Secrets) -> anyhow::Result<()> {
    let passwords = create_roles(&connect(admin_url).await?).await?;
    create_database(admin_url, database, &passwords).await?;
    let signing = fresh::signing(SigningAlgorithm::Rs256).map_err(|_| anyhow::anyhow!("no signing key"))?;
    put_secrets(secrets, &address(admin_url, database)?, &passwords, &signing)
}

/// What every function of a local world finds in its environment beside what the template says: where the sandbox
/// is, in the clear, and patience for a machine rather than for the internet.
pub fn local_environment(sandbox_url: &str) -> BTreeMap<String, String> {
    let at = |path: &str| format!("{sandbox_url}{path}");
    let given = [
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_ACCESS_KEY_ID", "local".into()),
        ("AWS_SECRET_ACCESS_KEY", "local".into()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", at("")),
        ("ALLOW_HTTP_PROVIDERS", "true".into()),
        ("BTCPAY_URL", at("/btcpay")),
        ("BTCPAY_SECRET", format!("{SECRET_PREFIX}/btcpay")),
        ("BTCPAY_ACCOUNT", format!("{SECRET_PREFIX}/btcpay")),
        ("VOLTAGE_ACCOUNT", format!("{SECRET_PREFIX}/voltage")),
        ("VOLTAGE_URL", at("/voltage")),
        ("VOLTAGE_SECRET", format!("{SECRET_PREFIX}/voltage")),
        ("VOLTAGE_NODE_URL", at("/{api_endpoint}")),
        ("VOLTAGE_NETWORK", "regtest".into()),
        ("STRIPE_URL", at("/stripe")),
        ("STRIPE_SECRET", format!("{SECRET_PREFIX}/stripe")),
        ("STRIPE_WEBHOOKS_SECRET", format!("{SECRET_PREFIX}/stripe-webhooks")),
        ("STRIPE_LIVEMODE", "false".into()),
        ("DISCORD_URL", at("/discord")),
        ("DISCORD_SECRET", format!("{SECRET_PREFIX}/discord")),
        ("DISCORD_REDIRECT_URIS", DISCORD_REDIRECT_URI.into()),
        ("PRIVY_URL", at("/privy")),
        ("PRIVY_SECRET", format!("{SECRET_PREFIX}/privy")),
        ("MAIL_FROM", MAIL_FROM.into()),
        ("SES_URL", at("/ses")),
        ("VERIFY_EMAIL_URL", "http://127.0.0.1:3000/verify-email".into()),
        ("RESET_PASSWORD_URL", "http://127.0.0.1:3000/reset-password".into()),
        ("EGRESS_ADDRESSES", "127.0.0.1".into()),
        ("LIGHTNING_NETWORK", "regtest".into()),
        ("SETUP_POLL_MILLISECONDS", "50".into()),
        ("UPSTREAM_RETRY_MILLISECONDS", "20".into()),
    ];
    given.into_iter().map(|(name, value): (&str, String)| (name.to_owned(), value)).collect()
}
