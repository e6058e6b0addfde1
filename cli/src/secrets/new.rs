use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::audit::{AuditDocument, AuditKey};
use shared::clock::Clock;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::roles::Role;
use shared::db::{Credentials, Database};
use shared::fresh::{self, DatabaseAddress};
use shared::random::Random;
use shared::setup::{MarkerDocument, MarkerKey};
use shared::signing_key::{PrivateKeys, SigningDocument};

use super::Algorithm;
use crate::store::{LONGEST_DOCUMENT, Store, database_secret, prefix};

/// Make a fresh, strong value for every secret
///
/// Never writes over a secret that exists: a new sealing key in place of the old would make what the old one
/// sealed unreadable for ever.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the names of the secrets begin with: the stack's parameter `SecretPrefix`
    #[arg(long, default_value = "satchel", value_parser = prefix)]
    prefix: String,
    /// How access tokens are signed
    #[arg(long, default_value = "RS256", ignore_case = true)]
    algorithm: Algorithm,
    /// Where Postgres, or the proxy before it, is
    #[arg(long, value_name = "HOST")]
    database_host: String,
    /// Where Postgres itself is, if the other is a proxy: migrations need a direct connection
    #[arg(long, value_name = "HOST")]
    database_owner_host: Option<String>,
    #[arg(long, value_name = "PORT", default_value_t = 5432)]
    database_port: u16,
    #[arg(long, value_name = "NAME", default_value = "satchel")]
    database_name: String,
    #[arg(long, default_value = "require")]
    sslmode: SslMode,
    /// Certificates to trust beside the system's, in PEM: the region's RDS bundle
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// Leave secrets that exist as they are, and make the others
    #[arg(long)]
    missing: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Write one JSON file per secret into this directory, readable by you alone
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Create them in AWS Secrets Manager
    #[arg(long)]
    put: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SslMode {
    /// Encrypted, and the certificate is checked
    Require,
    /// The same
    VerifyFull,
    /// Only for a database on this very machine
    Disable,
}

impl SslMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::VerifyFull => "verify-full",
            Self::Disable => "disable",
        }
    }
}

pub async fn run(args: Args) -> Result<String> {
    let documents = documents(&args)?;
    let store = match args.target.out {
        Some(path) => Store::directory(args.prefix, path),
        None => Store::manager(args.prefix).await?,
    };
    store.prepare()?;
    let mut existing = Vec::new();
    for (secret, _) in &documents {
        if store.exists(secret).await? {
            existing.push(secret.as_str());
        }
    }
    if !existing.is_empty() && !args.missing {
        let named: Vec<_> = existing.iter().map(|secret| store.location(secret)).collect();
        bail!("nothing was made, because there is already {} (--missing makes the others)", named.join(", "));
    }
    let mut said = String::new();
    for (secret, document) in &documents {
        if existing.contains(&secret.as_str()) {
            writeln!(said, "left    {}", store.location(secret))?;
            continue;
        }
        let so_far = || format!("run this again with --missing; until now: {}", said.replace('\n', "; "));
        store.create(secret, document).await.with_context(so_far)?;
        writeln!(said, "made    {}", store.location(secret))?;
    }
    said.push_str(
        "\nKeep a copy of the secrets `sealing`, `audit` and `marker` somewhere else: nothing can stand in for them.\n\
         Next: ",
    );
    said.push_str(if args.target.put {
        "satchel database init"
    } else {
        "satchel database init --dir, and put each file into Secrets Manager under the secret's name"
    });
    Ok(said)
}

/// Every secret by what follows the prefix, each known to be what functions take.
fn documents(args: &Args) -> Result<Vec<(String, String)>> {
    let random = Random::system();
    let ca_pem = match &args.ca_file {
        Some(path) => Some(fs::read_to_string(path).with_context(|| path.display().to_string())?),
        None => None,
    };
    let address = DatabaseAddress {
        host: args.database_host.clone(),
        port: args.database_port,
        dbname: args.database_name.clone(),
        sslmode: args.sslmode.name(),
    };
    let mut documents = Vec::new();
    for role in Role::ALL {
        let mut document = fresh::database(&address, role, &fresh::password(&random));
        if let (Role::Owner, Some(host)) = (role, &args.database_owner_host) {
            document["host"] = Value::from(host.as_str());
        }
        if let Some(pem) = &ca_pem {
            document["ca_pem"] = Value::from(pem.as_str());
        }
        documents.push((database_secret(role), checked::<Credentials, Database>(&document)?));
    }
    let signing =
        fresh::signing(args.algorithm.into()).map_err(|_| anyhow!("no signing key could be made"))?;
    documents.push(("signing".to_owned(), checked::<SigningDocument, PrivateKeys>(&signing)?));
    let sealing = fresh::sealing(Clock::system().now(), &random);
    documents.push(("sealing".to_owned(), checked::<SealingKeys, KeyRing>(&sealing)?));
    documents.push(("audit".to_owned(), checked::<AuditDocument, AuditKey>(&fresh::audit(&random))?));
    documents.push(("marker".to_owned(), checked::<MarkerDocument, MarkerKey>(&fresh::marker(&random))?));
    for (secret, document) in &documents {
        if document.len() > LONGEST_DOCUMENT {
            bail!(
                "{secret} would be longer than Secrets Manager takes: give --ca-file one region's certificates"
            );
        }
    }
    Ok(documents)
}

fn checked<D, T>(document: &Value) -> Result<String>
where
    D: DeserializeOwned,
    T: TryFrom<D, Error = &'static str>,
{
    let text = document.to_string();
    let parsed: D = serde_json::from_str(&text).map_err(|_| anyhow!("a secret came out malformed"))?;
    T::try_from(parsed).map_err(|problem| anyhow!("the secret made of these options {problem}"))?;
    Ok(text)
}
