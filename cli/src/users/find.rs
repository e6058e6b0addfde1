use anyhow::{Context, Result, bail};
use shared::db::{self, GenericClient, Type};
use shared::email::Email;
use shared::lightning::{Did, Pubkey};
use uuid::Uuid;

use crate::words::say;

/// The account somebody means, as they name it. An e-mail whose mailbox never answered leads to whoever registered it,
/// which is said.
pub async fn account(client: &impl GenericClient, text: &str) -> Result<Uuid> {
    let found = find(client, text).await?;
    if !found.is_proven {
        say(&format!("{text} is unverified: anybody may have registered it"));
    }
    Ok(found.id)
}

/// The account somebody means where the wrong one would be given what is not theirs.
pub async fn proven_account(client: &impl GenericClient, text: &str) -> Result<Uuid> {
    let Found { id, is_proven } = find(client, text).await?;
    if !is_proven {
        bail!(
            "{text} is unverified, and anybody may have registered it: name the account by its id, which is {id}"
        );
    }
    Ok(id)
}

struct Found {
    id: Uuid,
    /// Only an e-mail may be unproven: whoever has another name here has shown that it is theirs.
    is_proven: bool,
}

async fn find(client: &impl GenericClient, text: &str) -> Result<Found> {
    let nobody = || format!("there is no account {text}: `satchel users list` has them all");
    if let Ok(id) = text.parse::<Uuid>() {
        let known = db::query_opt(client, "SELECT id FROM users WHERE id = $1", &[(&id, Type::UUID)]).await?;
        return known.map(|row| Found { id: row.get("id"), is_proven: true }).with_context(nobody);
    }
    let (kind, subject) = identity(text)?;
    let owner = db::query_opt(
        client,
        "SELECT user_id, kind <> 'email' OR verified_at IS NOT NULL AS is_proven FROM identities
         WHERE kind = $1 AND subject = $2 AND retired_at IS NULL",
        &[(&kind, Type::TEXT), (&subject, Type::TEXT)],
    )
    .await?;
    let found = |row: db::Row| Found { id: row.get("user_id"), is_proven: row.get("is_proven") };
    owner.map(found).with_context(nobody)
}

fn identity(text: &str) -> Result<(&'static str, String)> {
    if let Ok(did) = text.parse::<Did>() {
        return Ok(("did", did.to_string()));
    }
    if let Ok(key) = text.parse::<Pubkey>() {
        return Ok(("node", key.to_string()));
    }
    match text.parse::<Email>() {
        Ok(email) => Ok(("email", email.as_str().to_owned())),
        Err(_) => bail!("an account is named by its id, its e-mail, its DID or its node's key"),
    }
}
