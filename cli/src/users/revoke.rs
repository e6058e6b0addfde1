use anyhow::{Result, bail};
use serde_json::json;
use shared::audit::{AuditDocument, AuditKey};
use shared::db;
use shared::db::roles::Role;
use shared::session::Ended;
use shared::session::own::{self, Reach};
use uuid::Uuid;

use super::{find, note};
use crate::store::{From, Store};
use crate::when::now;
use crate::words::count;

/// End an account's sessions
///
/// All of them, or the one named; whoever holds one is signed out with their next request. Reads the secrets
/// `database/jobs` and `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The account's id, e-mail, DID or node key
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// This session alone
    #[arg(long, value_name = "ID")]
    session: Option<Uuid>,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let store = Store::open(args.from).await?;
    let key = store.read::<AuditDocument, AuditKey>("audit").await?;
    let mut client = store.connect(Role::Jobs).await?;
    let now = now(&client).await?;
    let id = find::account(&client, &args.account).await?;
    let tx = client.transaction().await?;
    let ended = match args.session {
        None => own::end_all(&tx, id, Ended::ByOperator, now).await?,
        Some(session) => {
            if !own::end(&tx, session, Reach::Own(id), (Ended::ByOperator, now)).await? {
                bail!("the account has no session {session} that could be ended");
            }
            1
        }
    };
    if ended > 0 {
        let details = json!({ "ended": ended, "session": args.session, "reason": Ended::ByOperator });
        let action = if args.session.is_some() { "session.ended" } else { "session.all_ended" };
        note(&tx, &key, (action, "satchel users revoke"), (id, details), now).await?;
    }
    db::commit(tx).await?;
    Ok(format!("{} of {id} ended", count(usize::try_from(ended)?, "session")))
}
