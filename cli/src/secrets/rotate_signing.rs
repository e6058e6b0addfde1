use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use shared::db::roles::Role;
use shared::db::{self, GenericClient, Type};
use shared::fresh::{self, SigningAlgorithm};
use shared::signing_key::{self, PrivateKeys, PublicKey, SigningDocument};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::Algorithm;
use crate::store::{Store, prefix};

const SECRET: &str = "signing";
/// The longest that `ACCESS_TTL_SECONDS` may be: whatever the stack has, no token outlives its key.
const LONGEST_ACCESS_TTL: Duration = Duration::days(1);
/// Held by a rotation; any number will do that nothing else locks.
const LOCK: i64 = 7_282_437;

/// Publish the next signing key, to sign two hours later
///
/// Nothing is deployed and nobody is signed out: by then everybody who keeps the key set has fetched it anew. The
/// key before stays published until no token of its can still be good; its private half leaves the secret with
/// the first rotation after that. Reads and writes the secret `signing`; reads `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the names of the secrets begin with: the stack's parameter `SecretPrefix`
    #[arg(long, default_value = "satchel", value_parser = prefix)]
    prefix: String,
    /// How the new key signs; as the present one does if not given
    #[arg(long, ignore_case = true)]
    algorithm: Option<Algorithm>,
}

pub async fn run(args: Args) -> Result<String> {
    let store = Store::manager(args.prefix).await?;
    let name = store.name(SECRET);
    let mut client = store.connect(Role::Jobs).await?;
    let transaction = client.transaction().await?;
    let now = begin(&transaction).await?;
    let published = signing_key::published(&transaction, now).await?;
    let current = current(&published, now)?;

    let algorithm = args.algorithm.map_or_else(|| same_as(current), SigningAlgorithm::from);
    let next = fresh::signing_key(algorithm).map_err(|_| anyhow!("no signing key could be made"))?;
    let next_kid = kid(&next).unwrap_or_default().to_owned();
    let mut document: Value = store.document(SECRET).await?;
    let gone = exchange(&mut document, next, &published, current).with_context(|| name.clone())?;
    let changed = document.to_string();
    let parsed: SigningDocument =
        serde_json::from_value(document).map_err(|_| anyhow!("{name} is not the document expected"))?;
    let private = PrivateKeys::try_from(parsed).map_err(|problem| anyhow!("{name} {problem}"))?;
    let key = private.find(&next_kid).context("the new key is not among the keys")?;

    // The private half first: a published key that nobody holds could not sign when its time comes.
    store.replace(SECRET, &changed).await?;
    let sign_at = signing_key::publish_next(&transaction, key, LONGEST_ACCESS_TTL, now).await?;
    db::commit(transaction).await?;

    let mut said = vec![
        format!("key {next_kid} ({:?}) is published and signs from {}", key.algorithm, text(sign_at)?),
        format!("key {} signs until then", current.kid),
    ];
    said.extend(gone.iter().map(|kid| format!("key {kid} was taken out of {name}")));
    Ok(said.join("\n"))
}

/// The key that signs now, if no other is about to.
fn current(published: &[PublicKey], now: OffsetDateTime) -> Result<&PublicKey> {
    let newest = published.first().context(
        "no key is published yet: the first sign-in publishes the one in the secret, and nothing is old before that",
    )?;
    if newest.sign_at > now {
        bail!("key {} is published and signs from {}: rotate after that", newest.kid, text(newest.sign_at)?);
    }
    Ok(newest)
}

fn same_as(key: &PublicKey) -> SigningAlgorithm {
    if key.algorithm == jsonwebtoken::Algorithm::ES256 {
        SigningAlgorithm::Es256
    } else {
        SigningAlgorithm::Rs256
    }
}

/// Adds `next` to the document, and takes out every key that is not published: it is retired or withdrawn, or a
/// rotation broke off before it published what it had put there. Returns the ids of those.
fn exchange(
    document: &mut Value,
    next: Value,
    published: &[PublicKey],
    current: &PublicKey,
) -> Result<Vec<String>> {
    let keys = document.get_mut("keys").and_then(Value::as_array_mut).context("holds no keys")?;
    if !keys.iter().any(|key| kid(key) == Some(&current.kid)) {
        bail!("lacks key {}, which signs now: secret and database do not belong together", current.kid);
    }
    let is_published = |key: &Value| published.iter().any(|row| kid(key) == Some(&row.kid));
    let gone = keys.extract_if(.., |key| !is_published(key));
    let gone = gone.map(|key| kid(&key).unwrap_or("without an id").to_owned()).collect();
    keys.push(next);
    Ok(gone)
}

/// Holds off other rotations until the transaction ends. Returns the time by the database's clock, which
/// functions are close to; this machine's may be anywhere.
async fn begin(transaction: &impl GenericClient) -> Result<OffsetDateTime> {
    let row = db::query_one(
        transaction,
        "SELECT pg_try_advisory_xact_lock($1) AS alone, now() AS now",
        &[(&LOCK, Type::INT8)],
    )
    .await?;
    if !row.get::<_, bool>("alone") {
        bail!("another rotation is under way");
    }
    Ok(row.get("now"))
}

fn kid(key: &Value) -> Option<&str> {
    key.get("kid").and_then(Value::as_str)
}

fn text(time: OffsetDateTime) -> Result<String> {
    let seconds = time.replace_nanosecond(0)?;
    Ok(seconds.format(&Rfc3339)?)
}
