//! What an observer of the database's wire sees of a login: the same for an account that is there and for one that is
//! not.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde_json::{Value, json};
use testing::{Result, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{GRACE, PASSWORD, login, send, wire};

type Seen = Arc<Mutex<Vec<String>>>;

/// Stands between the functions and Postgres, and notes the text of each statement.
async fn listen_in(world: &World) -> Result<Seen> {
    let (secrets, name) = (world.sandbox.secrets(), "satchel/database/auth");
    let mut document: Value = serde_json::from_str(&secrets.get(name).context("no such secret")?)?;
    let host = document["host"].as_str().context("no host")?.to_owned();
    let port = u16::try_from(document["port"].as_u64().context("no port")?)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    document["host"] = json!("127.0.0.1");
    document["port"] = json!(listener.local_addr()?.port());
    secrets.put(name, &document.to_string());
    let seen = Seen::default();
    let noting = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass_on(client, (host.clone(), port), Arc::clone(&noting)));
        }
    });
    Ok(seen)
}

async fn pass_on(client: TcpStream, server: (String, u16), seen: Seen) -> Result<()> {
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    // The first message of a connection has no letter before its length.
    let mut letter = None;
    loop {
        let length = from_client.read_u32().await?;
        let mut body = vec![0; usize::try_from(length)?.saturating_sub(4)];
        from_client.read_exact(&mut body).await?;
        let text = |skipped: usize| {
            let mut parts = body.split(|byte| *byte == 0).skip(skipped);
            String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned()
        };
        match letter {
            Some(b'P') => seen.lock().unwrap_or_else(PoisonError::into_inner).push(text(1)),
            Some(b'Q') => seen.lock().unwrap_or_else(PoisonError::into_inner).push(text(0)),
            _ => {}
        }
        if let Some(letter) = letter {
            to_server.write_u8(letter).await?;
        }
        to_server.write_u32(length).await?;
        to_server.write_all(&body).await?;
        letter = Some(from_client.read_u8().await?);
    }
}

#[tokio::test]
async fn an_account_that_is_there_and_one_that_is_not_cost_the_same_statements() -> Result<()> {
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    let without = world.with_email("without@example.com", PASSWORD, true).await?;
    let sql = format!("DELETE FROM passwords WHERE user_id = '{}'", without.user_id);
    world.db.admin().await?.batch_execute(&sql).await?;
    let seen = listen_in(&world).await?;
    let deps = wire(&world).await?;
    let statements = async |email: &str| -> Result<Vec<String>> {
        let answer = send(&deps, &login(email, "a wrong password")).await?;
        assert_eq!(answer.refusal()?, (401, "INVALID_CREDENTIALS"));
        let mut seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        // How the last transaction ended is behind the answer.
        seen.retain(|sql| !matches!(sql.as_str(), "COMMIT" | "ROLLBACK" | ""));
        Ok(seen)
    };
    // The first in a minute writes, the second does not; each alike.
    let nobody = [statements("nobody@example.com").await?, statements("nobody@example.com").await?];
    for email in [GRACE, "without@example.com"] {
        let somebody = [statements(email).await?, statements(email).await?];
        assert_eq!(somebody, nobody, "{email}");
    }
    assert_eq!(
        nobody.map(|seen| seen.len()),
        [7, 4],
        "limits, one more, account, failures; and a transaction of two"
    );
    Ok(())
}
