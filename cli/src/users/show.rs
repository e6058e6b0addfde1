use std::fmt::Write;

use anyhow::{Context, Result};
use shared::account::{self, Identity};
use shared::db::roles::Role;
use shared::user::{self, User};
use time::OffsetDateTime;

use super::find;
use crate::store::{From, Store};
use crate::words::{at, clean, columns};

/// Show an account and what it is signed in to with
///
/// Reads the secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The account's id, e-mail, DID or node key
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// As JSON, an object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let client = Store::open(args.from).await?.connect(Role::Jobs).await?;
    let id = find::account(&client, &args.account).await?;
    let user = user::find(&client, id).await?.context("the account is gone")?;
    let is_admin = account::is_admin(&client, id).await?;
    if args.json {
        let mut value = serde_json::to_value(&user)?;
        value["isAdmin"] = is_admin.into();
        return Ok(serde_json::to_string_pretty(&value)?);
    }
    let mut said = head(&user, is_admin)?;
    let identities = account::list(&client, id).await?;
    if !identities.is_empty() {
        write!(said, "\nsigns in with\n{}", columns(&identities.iter().map(identity).collect::<Vec<_>>()))?;
    }
    if !user.wallets.is_empty() {
        let wallets: Vec<_> = user
            .wallets
            .iter()
            .map(|wallet| {
                let proven = if wallet.verified { "proven" } else { "as it says" };
                [format!("  {}", clean(&wallet.address)), proven.to_owned()]
            })
            .collect();
        write!(said, "\nwallets\n{}", columns(&wallets))?;
    }
    Ok(said.trim_end().to_owned())
}

fn head(user: &User, is_admin: bool) -> Result<String> {
    let time = |time: Option<OffsetDateTime>| time.map_or_else(|| "-".to_owned(), at);
    let text = |text: &Option<String>| clean(text.as_deref().unwrap_or_default());
    let mut said = format!("account {}\n", user.id);
    for (name, value) in [
        ("username", text(&user.username)),
        ("called", text(&user.display_name)),
        ("admin", if is_admin { "yes" } else { "no" }.to_owned()),
        ("made", at(user.created_at)),
        ("signed in", time(user.last_login_at)),
        ("active", time(user.last_active_at)),
        ("deleted", time(user.deleted_at)),
        ("version", user.version.to_string()),
    ] {
        writeln!(said, "  {name:<9} {value}")?;
    }
    Ok(said)
}

fn identity(identity: &Identity) -> [String; 4] {
    [
        format!("  {}", identity.kind),
        clean(&identity.subject),
        clean(identity.label.as_deref().unwrap_or_default()),
        identity.verified_at.map_or_else(|| "not proven".to_owned(), |time| format!("proven {}", at(time))),
    ]
}
