use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use shared::crypto::{KeyRing, SealingKeys};

use crate::store::{LONGEST_DOCUMENT, Store};

const SECRET: &str = "sealing";

/// The secret `sealing` as it stands, and the ring that functions make of it. What this build does not know of the
/// document stays in it.
pub struct Document {
    value: Value,
    pub ring: KeyRing,
}

impl Document {
    pub async fn read(store: &Store) -> Result<Self> {
        Self::parse(store.document(SECRET).await?).with_context(|| store.name(SECRET))
    }

    pub async fn replace(&self, store: &Store) -> Result<()> {
        let text = self.value.to_string();
        if text.len() > LONGEST_DOCUMENT {
            bail!("{} would be longer than Secrets Manager takes", store.name(SECRET));
        }
        store.replace(SECRET, &text).await
    }

    /// With another key at its end.
    pub fn with(&self, entry: Value) -> Result<Self> {
        let mut value = self.value.clone();
        keys(&mut value)?.push(entry);
        Self::parse(value)
    }

    /// Without the keys of these ids.
    pub fn without(&self, ids: &[u32]) -> Result<Self> {
        let mut value = self.value.clone();
        let gone =
            |key: &Value| ids.iter().any(|id| key.get("id").and_then(Value::as_u64) == Some(u64::from(*id)));
        keys(&mut value)?.retain(|key| !gone(key));
        Self::parse(value)
    }

    fn parse(value: Value) -> Result<Self> {
        // serde's message may quote the value it choked on.
        let document: SealingKeys =
            serde_json::from_value(value.clone()).map_err(|_| anyhow!("is not the document expected"))?;
        let ring = KeyRing::try_from(document).map_err(|problem| anyhow!(problem))?;
        Ok(Self { value, ring })
    }
}

fn keys(document: &mut Value) -> Result<&mut Vec<Value>> {
    document.get_mut("keys").and_then(Value::as_array_mut).context("holds no keys")
}
