//! The five roles, the database they share, and its schema.

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::json;
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::Secret;
use shared::db::roles::{self, Role};
use shared::db::{Credentials, Database};
use shared::migrations;
use tokio_postgres::config::{Host, SslMode};

use crate::store::{From, Store, database_secret};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make the five roles and the database, with the passwords and the name in the secrets
    ///
    /// May be run again: it sets the passwords anew and leaves what is there. Reads the secrets `database/…`.
    Init {
        /// The cluster's administrator, as `postgres://admin@host:5432/postgres`; the password may be in `PGPASSWORD`
        #[arg(long)]
        admin_url: String,
        #[command(flatten)]
        from: From,
    },
    /// Bring the schema up to date, as the function `migrate` does
    ///
    /// Needs a direct connection, not one through a proxy. Reads the secret `database/owner`.
    Migrate(From),
}

pub async fn run(command: Command) -> Result<String> {
    match command {
        Command::Init { admin_url, from } => init(&admin_url, &Store::open(from).await?).await,
        Command::Migrate(from) => migrate(&Store::open(from).await?).await,
    }
}

/// What [`init`] takes from `database/<role>`.
#[derive(Deserialize)]
struct Login {
    dbname: String,
    username: String,
    password: Secret<String>,
    sslmode: Option<String>,
    ca_pem: Option<String>,
}

async fn init(admin_url: &str, store: &Store) -> Result<String> {
    let owner = login(store, Role::Owner).await?;
    let mut logins = Vec::new();
    for role in Role::ALL {
        let login = login(store, role).await?;
        if login.dbname != owner.dbname {
            bail!("{} and {} name two databases", place(store, role), place(store, Role::Owner));
        }
        logins.push((role, login));
    }
    let admin =
        administrator(admin_url, &owner)?.connect().await.context("connecting as the administrator")?;
    for (role, login) in &logins {
        roles::create(&admin, *role, &login.password).await.with_context(|| role.name())?;
    }
    roles::create_database(&admin, &owner.dbname)
        .await
        .with_context(|| format!("database {}", owner.dbname))?;
    let names = Role::ALL.map(Role::name).join(", ");
    Ok(format!("roles {names} and database {} are there\nNext: satchel database migrate", owner.dbname))
}

async fn migrate(store: &Store) -> Result<String> {
    let mut client = store.connect(Role::Owner).await?;
    let applied = migrations::run(&mut client, Clock::system().now()).await?;
    Ok(if applied.is_empty() {
        "the schema is up to date".to_owned()
    } else {
        format!("applied: {}", applied.join(", "))
    })
}

async fn login(store: &Store, role: Role) -> Result<Login> {
    let login: Login = store.document(&database_secret(role)).await?;
    if login.username != role.name() {
        bail!("{} is for another user than {}", place(store, role), role.name());
    }
    Ok(login)
}

fn place(store: &Store, role: Role) -> String {
    store.location(&database_secret(role))
}

/// The administrator reaches the same server as the owner: unless the URL says otherwise, in the same way.
fn administrator(url: &str, owner: &Login) -> Result<Database> {
    // The library's message may quote the URL.
    let parsed: tokio_postgres::Config =
        url.parse().map_err(|_| anyhow!("--admin-url is not a Postgres URL"))?;
    let [Host::Tcp(host)] = parsed.get_hosts() else { bail!("--admin-url names no host, or more than one") };
    let sslmode = match parsed.get_ssl_mode() {
        SslMode::Disable => Some("disable"),
        SslMode::Require => Some("require"),
        _ => owner.sslmode.as_deref(),
    };
    let in_url = parsed.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let document = json!({
        "host": host,
        "port": parsed.get_ports().first().copied().unwrap_or(5432),
        "dbname": parsed.get_dbname().unwrap_or("postgres"),
        "username": parsed.get_user().context("--admin-url names no user")?,
        "password": in_url.or_else(|| Config::from_process().optional("PGPASSWORD")).unwrap_or_default(),
        "sslmode": sslmode,
        "ca_pem": owner.ca_pem,
    });
    let credentials: Credentials =
        serde_json::from_value(document).map_err(|_| anyhow!("--admin-url cannot be used"))?;
    Database::try_from(credentials).map_err(|problem| anyhow!("--admin-url {problem}"))
}
