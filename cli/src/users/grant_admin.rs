use anyhow::{Result, bail};
use serde_json::json;
use shared::audit::{AuditDocument, AuditKey};
use shared::db::roles::Role;
use shared::db::{self, Type};

use super::{find, note};
use crate::store::{From, Store};
use crate::when::now;

/// Make an account an administrator's, or no more one
///
/// An administrator sees and changes other people's accounts through the API. One who is signed in already has the right
/// with the next token, and loses it with the next request. Reads the secrets `database/jobs` and `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The account's id, verified e-mail, DID or node key
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Take the right away
    #[arg(long)]
    take_away: bool,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let store = Store::open(args.from).await?;
    let key = store.read::<AuditDocument, AuditKey>("audit").await?;
    let mut client = store.connect(Role::Jobs).await?;
    let now = now(&client).await?;
    let id = find::proven_account(&client, &args.account).await?;
    let tx = client.transaction().await?;
    let changed = if args.take_away {
        db::execute(&tx, "DELETE FROM admins WHERE user_id = $1", &[(&id, Type::UUID)]).await?
    } else {
        let standing = "SELECT 1 FROM users WHERE id = $1 AND deleted_at IS NULL FOR SHARE";
        if db::query_opt(&tx, standing, &[(&id, Type::UUID)]).await?.is_none() {
            bail!("the account {id} is deleted");
        }
        db::execute(
            &tx,
            "INSERT INTO admins (user_id, granted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[(&id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
        )
        .await?
    };
    let (action, is_now) = if args.take_away {
        ("admin.taken_away", "no administrator")
    } else {
        ("admin.granted", "an administrator")
    };
    if changed == 0 {
        return Ok(format!("{id} was {is_now} already"));
    }
    note(&tx, &key, (action, "satchel users grant-admin"), (id, json!({})), now).await?;
    db::commit(tx).await?;
    Ok(format!("{id} is {is_now} now"))
}
