use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{Read, stdin};

use anyhow::{Context, Result, anyhow, bail};
use shared::clock::Clock;
use shared::config::Config;
use shared::privy::{Privy, PrivyError};
use shared::upstream::Upstream;

use crate::store::{From, Store};
use crate::words;

/// What the secret is called behind the prefix.
const SECRET: &str = "privy";
/// More than any token.
const LONGEST_INPUT: u64 = 64 * 1024;

/// Check a token of Privy's as sign-in does, and say whose it is or why it is refused
///
/// Reads the app from the secret `privy`, and its keys from Privy if that secret holds none (`PRIVY_URL` says where,
/// if it is elsewhere). No token is ever printed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The access token; `-` reads it from standard input, so that it stands in no shell's history
    #[arg(allow_hyphen_values = true)]
    token: String,
    /// The identity token that goes with it
    #[arg(long, value_name = "TOKEN")]
    identity: Option<String>,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let token = token(args.token)?;
    let store = Store::open(args.from).await?;
    let document = store.find(SECRET).await?;
    let document = document
        .with_context(|| format!("there is no secret {}: Privy is not configured", store.location(SECRET)))?;
    let name = store.name(SECRET);
    let config = Config::from_process().with("PRIVY_SECRET", name.as_str());
    let mut config = config.with_documents(BTreeMap::from([(name, document)]));
    let upstream = Upstream::wire(&mut config);
    let privy = Privy::wire(&mut config, &upstream);
    config.finish().await?;
    let privy = privy.context("Privy is not configured")?;
    let identity = args.identity.as_deref().map(str::trim);
    let user = match privy.verify(token.trim(), identity, Clock::system().now()).await {
        Ok(user) => user,
        Err(PrivyError::Refused(refusal)) => bail!("refused: {refusal}"),
        Err(error) => return Err(anyhow!(error)),
    };
    let mut said = format!("good until  {}\n", words::at(user.expires_at));
    writeln!(said, "id          {}", words::clean(&user.id))?;
    write!(said, "session     {}", words::clean(&user.session_id))?;
    if let Some(email) = &user.email {
        let proven = if user.email_verified { "proven" } else { "not proven" };
        write!(said, "\nemail       {} ({proven})", words::clean(email))?;
    }
    for wallet in &user.wallets {
        let line = format!("{} {}", wallet.chain, wallet.address);
        write!(said, "\nwallet      {}", words::clean(line.trim()))?;
    }
    Ok(said)
}

fn token(argument: String) -> Result<String> {
    if argument != "-" {
        return Ok(argument);
    }
    let mut read = String::new();
    stdin().take(LONGEST_INPUT).read_to_string(&mut read).context("standard input")?;
    Ok(read)
}
