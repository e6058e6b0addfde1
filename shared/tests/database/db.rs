//! Statements that are slow, documents that say where the database is, and ways in that stay closed.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use shared::db::{Credentials, Database, Type, query};
use testing::{Result, TestDb};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// Every line logged by this thread while a subscriber on it stands.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(Level::TRACE)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn slow(&self) -> Vec<Value> {
        let lines = self.text();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "slow_statement").collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_slow_statement_is_logged_by_text_and_fingerprint_and_without_its_values() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.admin().await?;
    let lines = Lines::default();
    let listening = lines.listen();

    let sql = "SELECT pg_sleep($1),
               $2";
    query(&client, sql, &[(&0.101_f64, Type::FLOAT8), (&"hunter2-canary", Type::TEXT)]).await?;
    drop(listening);

    let slow = lines.slow();
    assert_eq!(slow.len(), 1, "{}", lines.text());
    assert_eq!(slow[0]["statement"], "SELECT pg_sleep($1), $2");
    let fingerprint = data_encoding::HEXLOWER.encode(&shared::crypto::sha256(sql.as_bytes())[..6]);
    assert_eq!(slow[0]["fingerprint"], fingerprint);
    assert!(slow[0]["duration_ms"].as_u64() >= Some(101), "{slow:?}");
    assert_eq!(slow[0]["level"], "WARN");
    assert!(!lines.text().contains("canary") && !lines.text().contains("0.101"), "{}", lines.text());
    Ok(())
}

#[tokio::test]
async fn a_statement_of_101_milliseconds_is_logged_and_one_of_50_is_not() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.admin().await?;
    let lines = Lines::default();
    let listening = lines.listen();

    let started = std::time::Instant::now();
    query(&client, "SELECT pg_sleep($1), 'fast'", &[(&0.05_f64, Type::FLOAT8)]).await?;
    let took = started.elapsed().as_millis();
    query(&client, "SELECT pg_sleep($1), 'slow'", &[(&0.101_f64, Type::FLOAT8)]).await?;
    drop(listening);

    let slow = lines.slow();
    let logged: Vec<&str> = slow.iter().filter_map(|line| line["statement"].as_str()).collect();
    // A machine that is busy may hold the fast one up for longer than its sleep.
    let fast = (took > 100).then_some("SELECT pg_sleep($1), 'fast'");
    let expected: Vec<&str> = fast.into_iter().chain(["SELECT pg_sleep($1), 'slow'"]).collect();
    assert_eq!(logged, expected, "{}", lines.text());
    Ok(())
}

#[tokio::test]
async fn a_slow_statement_that_fails_is_logged_too() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.admin().await?;
    client.batch_execute("SET statement_timeout = '110ms'").await?;
    let lines = Lines::default();
    let listening = lines.listen();

    let failed = query(&client, "SELECT pg_sleep(20)", &[]).await;
    drop(listening);

    assert!(failed.is_err());
    assert_eq!(lines.slow().len(), 1, "{}", lines.text());
    Ok(())
}

#[tokio::test]
async fn a_quick_statement_is_not_logged() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.admin().await?;
    let lines = Lines::default();
    let listening = lines.listen();

    // Several times, because on a busy machine one of them may take twice as long as it should.
    for _ in 0..5 {
        query(&client, "SELECT pg_sleep(0.05)", &[]).await?;
    }
    drop(listening);

    assert!(lines.slow().len() < 5, "{}", lines.text());
    Ok(())
}

fn database(changed: &Value) -> Result<Database, String> {
    let mut document = json!({
        "host": "db.example.com", "port": 5432, "dbname": "satchel", "username": "satchel_api",
        "password": "hunter2-canary",
    });
    if let (Some(document), Some(changed)) = (document.as_object_mut(), changed.as_object()) {
        document.extend(changed.clone());
    }
    let credentials: Credentials = serde_json::from_value(document).map_err(|error| error.to_string())?;
    Database::try_from(credentials).map_err(str::to_owned)
}

#[test]
fn tls_is_off_only_on_this_machine() {
    for host in ["127.0.0.1", "127.8.8.8", "::1", "localhost"] {
        assert!(database(&json!({ "host": host, "sslmode": "disable" })).is_ok(), "{host}");
    }
    let elsewhere =
        ["db.example.com", "10.0.0.1", "0.0.0.0", "::", "localhost.example.com", "127.0.0.1.example.com", ""];
    for host in elsewhere {
        let refused = database(&json!({ "host": host, "sslmode": "disable" })).err();
        assert_eq!(refused.as_deref(), Some("turns TLS off for a host that is not this machine"), "{host}");
    }
}

#[test]
fn no_mode_that_may_fall_back_to_plaintext_is_taken() {
    for sslmode in ["require", "verify-full"] {
        assert!(database(&json!({ "sslmode": sslmode })).is_ok());
    }
    assert!(database(&json!({})).is_ok(), "TLS is the default");
    for sslmode in ["allow", "prefer", "verify-ca", "Disable", "", "hunter2-canary"] {
        let refused = database(&json!({ "host": "127.0.0.1", "sslmode": sslmode })).err();
        let expected = "has an sslmode other than require, verify-full or disable";
        assert_eq!(refused.as_deref(), Some(expected), "{sslmode}");
    }
}

#[test]
fn certificates_that_are_none_are_refused() {
    let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for ca_pem in
        ["", "hunter2-canary", empty, key, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"]
    {
        let refused = database(&json!({ "ca_pem": ca_pem })).err().unwrap_or_default();
        assert!(refused.starts_with("has a ca_pem that"), "{ca_pem:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_plaintext() -> Result<()> {
    let db = TestDb::create().await?;
    let address = db.address()?;
    let with = |sslmode: &str| {
        let place = json!({ "host": address.host, "port": address.port, "dbname": address.dbname });
        let mut place = place;
        place["sslmode"] = json!(sslmode);
        place["password"] = json!(db.passwords[&shared::db::roles::Role::Api].expose());
        database(&place)
    };
    assert!(with("disable").map_err(anyhow::Error::msg)?.connect().await.is_ok());
    let refused = with("require").map_err(anyhow::Error::msg)?.connect().await.err();
    assert!(refused.is_some_and(|error| error.to_string().contains("TLS")));
    Ok(())
}
