use anyhow::{Context, Result, bail};
use shared::db::{self, GenericClient, Type};
use shared::email::Email;
use shared::lightning::{Did, Pubkey};
use uuid::Uuid;

/// The account somebody means, as they name it.
pub async fn account(client: &impl GenericClient, text: &str) -> Result<Uuid> {
    let nobody = || format!("there is no account {text}: `satchel users list` has them all");
    if let Ok(id) = text.parse::<Uuid>() {
        let known = db::query_opt(client, "SELECT id FROM users WHERE id = $1", &[(&id, Type::UUID)]).await?;
        return known.map(|row| row.get("id")).with_context(nobody);
    }
    let (kind, subject) = identity(text)?;
    let owner = db::query_opt(
        client,
        "SELECT user_id FROM identities WHERE kind = $1 AND subject = $2 AND retired_at IS NULL",
        &[(&kind, Type::TEXT), (&subject, Type::TEXT)],
    )
    .await?;
    owner.map(|row| row.get("user_id")).with_context(nobody)
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
