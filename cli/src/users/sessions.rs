use anyhow::Result;
use shared::db::roles::Role;
use shared::session::own::{self, SessionInfo, Status};

use super::find;
use crate::store::{From, Store};
use crate::when::now;
use crate::words::{at, clean, columns};

/// List an account's sessions, the newest first
///
/// A line for each: id, how it stands, opened, seen last, with what, platform, device, address, user agent. Reads the
/// secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The account's id, e-mail, DID or node key
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// No more than this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// As JSON, an array of objects
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let client = Store::open(args.from).await?.connect(Role::Jobs).await?;
    let id = find::account(&client, &args.account).await?;
    let rows = i64::from(args.limit) + 1;
    let mut sessions = own::list(&client, id, (None, rows), now(&client).await?).await?;
    let more = sessions.len() > args.limit as usize;
    sessions.truncate(args.limit as usize);
    if args.json {
        return Ok(serde_json::to_string_pretty(&sessions)?);
    }
    if sessions.is_empty() {
        return Ok("no sessions".to_owned());
    }
    let said = columns(&sessions.iter().map(cells).collect::<Vec<_>>());
    let more = if more { "and more: --limit shows them" } else { "" };
    Ok(format!("{said}{more}").trim_end().to_owned())
}

fn cells(session: &SessionInfo) -> [String; 9] {
    let stands = match session.status {
        Status::Active => "active".to_owned(),
        Status::Expired => "expired".to_owned(),
        Status::Revoked => format!("ended: {}", clean(session.revoked_reason.as_deref().unwrap_or_default())),
    };
    [
        session.id.to_string(),
        stands,
        at(session.created_at),
        at(session.last_seen_at),
        clean(&session.identity_kind),
        clean(session.platform.as_deref().unwrap_or_default()),
        clean(session.device_id.as_deref().unwrap_or_default()),
        session.ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
        clean(session.user_agent.as_deref().unwrap_or_default()),
    ]
}
