//! Passwords that are known from a breach.

use std::sync::{Arc, Mutex, PoisonError};

use register_account::Deps;
use serde_json::json;
use testing::{Result, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{EMAIL, NAME, PASSWORD, nothing_was_written, rows, send, with};

/// The SHA-1 of `password1`, which the service below knows.
const KNOWN: (&str, &str) = ("E38AD", "214943DAAD1D64C102FAEC29DE4AFE9DA3D");

/// What the service heard.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Told {
    fn note(&self, bytes: &[u8]) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&String::from_utf8_lossy(bytes));
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers every range with the one it knows, and remembers what it was told.
async fn service() -> Result<(String, Told)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/range", listener.local_addr()?);
    let told = Told::default();
    let witness = told.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap_or_default();
            witness.note(&buffer[..read]);
            let body = format!("0018A45C4D1DEF81644B54AB7F969B88D65:0\r\n{}:2427158", KNOWN.1);
            let preamble =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{preamble}{body}").as_bytes()).await;
        }
    });
    Ok((url, told))
}

#[tokio::test]
async fn one_that_is_known_is_refused_and_only_five_digits_are_told() -> Result<()> {
    let world = World::start().await?;
    let (url, told) = service().await?;
    let deps = world.wire_with(NAME, &[("BREACHED_PASSWORDS_URL", &url)], Deps::wire).await?;
    let known = with(&json!({ "email": EMAIL, "password": "password1" }));
    let answer = send(&deps, &known).await?;
    assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"));
    assert_eq!(answer.fields(), ["password"]);
    nothing_was_written(&world).await?;
    let told = told.text();
    assert!(told.starts_with(&format!("GET /range/{} HTTP/1.1\r\n", KNOWN.0)), "{told}");
    assert!(
        told.contains("add-padding: true") && !told.contains("password1") && !told.contains(KNOWN.1),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn one_that_is_not_known_is_taken() -> Result<()> {
    let world = World::start().await?;
    let (url, _) = service().await?;
    let deps = world.wire_with(NAME, &[("BREACHED_PASSWORDS_URL", &url)], Deps::wire).await?;
    assert_eq!(send(&deps, &with(&json!({ "email": EMAIL, "password": PASSWORD }))).await?.status, 201);
    Ok(())
}

#[tokio::test]
async fn while_the_service_is_away_every_password_is_taken() -> Result<()> {
    let world = World::start().await?;
    let nobody = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let url = format!("http://{nobody}/range");
    let deps = world.wire_with(NAME, &[("BREACHED_PASSWORDS_URL", &url)], Deps::wire).await?;
    assert_eq!(send(&deps, &with(&json!({ "email": EMAIL, "password": "password1" }))).await?.status, 201);
    assert_eq!(rows(&world, "users").await?, 1);
    Ok(())
}
