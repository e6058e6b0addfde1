//! What a function says to Postgres, listened to on the way there.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::World;

/// The statements of every connection a role makes from here on, in the order they were sent.
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<Vec<String>>>);

impl Statements {
    /// Puts itself between a role's functions and Postgres. Wire them afterwards.
    pub async fn listen(world: &World, role: &str) -> anyhow::Result<Self> {
        let secrets = world.sandbox.secrets();
        let name = format!("satchel/database/{role}");
        let mut document: Value = serde_json::from_str(&secrets.get(&name).context("no such secret")?)?;
        let host = document["host"].as_str().context("no host")?.to_owned();
        let port = u16::try_from(document["port"].as_u64().context("no port")?)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        document["host"] = json!("127.0.0.1");
        document["port"] = json!(listener.local_addr()?.port());
        secrets.put(&name, &document.to_string());
        let heard = Self::default();
        let statements = heard.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((host.as_str(), port)).await else { return };
                let ((from_client, mut to_client), (mut from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
                tokio::spawn(pass_on(from_client, to_server, statements.clone()));
            }
        });
        Ok(heard)
    }

    /// What was said since the last look.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, text: &[u8]) {
        let text = String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Messages of the frontend: the first without a type, then a letter, a length and the rest.
async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    statements: Statements,
) -> std::io::Result<()> {
    let mut is_first = true;
    loop {
        let kind = if std::mem::take(&mut is_first) { None } else { Some(from.read_u8().await?) };
        let length = from.read_u32().await?;
        let mut rest = vec![0; length.saturating_sub(4) as usize];
        from.read_exact(&mut rest).await?;
        match kind {
            // Parse: a name, a statement.
            Some(b'P') => statements.note(rest.split(|byte| *byte == 0).nth(1).unwrap_or_default()),
            Some(b'Q') => statements.note(rest.split(|byte| *byte == 0).next().unwrap_or_default()),
            _ => {}
        }
        if let Some(kind) = kind {
            to.write_u8(kind).await?;
        }
        to.write_u32(length).await?;
        to.write_all(&rest).await?;
        to.flush().await?;
    }
}
