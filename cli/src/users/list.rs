use anyhow::Result;
use serde::Serialize;
use shared::db::roles::Role;
use shared::db::{self, Row, Type};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::{From, Store};
use crate::words::{at, clean, columns};

/// List accounts, the newest first
///
/// A line for each: id, made, signed in last, what it is called by (its e-mail, else its DID, else what it has), and
/// whether that is an e-mail nobody verified, and it is an administrator's, deleted or erased. Reads the secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Administrators alone
    #[arg(long)]
    admins: bool,
    /// No more than this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// As JSON, an array of objects
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    from: From,
}

#[derive(Serialize)]
struct Line {
    id: Uuid,
    name: Option<String>,
    /// It is called by an e-mail whose mailbox never answered.
    is_unverified: bool,
    is_admin: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    last_login_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    deleted_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    erased_at: Option<OffsetDateTime>,
}

pub async fn run(args: Args) -> Result<String> {
    let client = Store::open(args.from).await?.connect(Role::Jobs).await?;
    let rows = db::query(
        &client,
        "SELECT u.id, u.created_at, u.last_login_at, u.deleted_at, u.erased_at, a.user_id IS NOT NULL AS is_admin,
                i.subject AS name, COALESCE(i.kind = 'email' AND i.verified_at IS NULL, false) AS is_unverified
         FROM users u LEFT JOIN admins a ON a.user_id = u.id
         LEFT JOIN LATERAL (
             SELECT kind, subject, verified_at FROM identities WHERE user_id = u.id AND retired_at IS NULL
             ORDER BY kind <> 'email', kind <> 'did', created_at, subject LIMIT 1) i ON true
         WHERE NOT $1 OR a.user_id IS NOT NULL
         ORDER BY u.created_at DESC, u.id DESC LIMIT $2",
        // One more, to know that there are more.
        &[(&args.admins, Type::BOOL), (&(i64::from(args.limit) + 1), Type::INT8)],
    )
    .await?;
    let limit = args.limit as usize;
    let lines: Vec<Line> = rows.iter().take(limit).map(Line::read).collect();
    if args.json {
        return Ok(serde_json::to_string_pretty(&lines)?);
    }
    if lines.is_empty() {
        return Ok("no accounts".to_owned());
    }
    let said: Vec<_> = lines.iter().map(Line::cells).collect();
    let more = if rows.len() > limit { "and more: --limit shows them" } else { "" };
    Ok(format!("{}{more}", columns(&said)).trim_end().to_owned())
}

impl Line {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            is_unverified: row.get("is_unverified"),
            is_admin: row.get("is_admin"),
            created_at: row.get("created_at"),
            last_login_at: row.get("last_login_at"),
            deleted_at: row.get("deleted_at"),
            erased_at: row.get("erased_at"),
        }
    }

    fn cells(&self) -> [String; 5] {
        let mut marks = Vec::new();
        if self.is_unverified {
            marks.push("unverified");
        }
        if self.is_admin {
            marks.push("admin");
        }
        match (self.deleted_at, self.erased_at) {
            (_, Some(_)) => marks.push("erased"),
            (Some(_), None) => marks.push("deleted"),
            (None, None) => {}
        }
        [
            self.id.to_string(),
            at(self.created_at),
            self.last_login_at.map_or_else(|| "-".to_owned(), at),
            clean(self.name.as_deref().unwrap_or_default()),
            marks.join(", "),
        ]
    }
}
