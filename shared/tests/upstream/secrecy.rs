//! Keys, macaroons, passwords and seeds appear in nothing that could be logged, however hard a provider tries.

use serde_json::json;
use shared::btcpay::LightningNode;
use shared::crypto::Secret;
use shared::lnd::{Seed, WalletKeys};
use shared::upstream::UpstreamError;
use testing::Result;

use crate::ground::{BTCPAY_KEY, Ground, VOLTAGE_KEY, admin, lnd};
use crate::server::{Reply, Server};

const WEBHOOK_SECRET: &str = "canary-hook-99";
const PASSWORD: &str = "canary-password";
const WORD: &str = "canary";

fn shows(error: &UpstreamError) -> String {
    format!("{error} {error:?} {}", shared::log::causes(error))
}

/// A server that repeats, in its refusal, every secret there is; once as an error, once as something unreadable.
async fn echo(status: u16) -> Result<Server> {
    let hex = admin().to_hex();
    let said = format!(
        "{BTCPAY_KEY} {VOLTAGE_KEY} {WEBHOOK_SECRET} macaroon={} {PASSWORD} {} {}",
        *hex,
        data_encoding::BASE64.encode(PASSWORD.as_bytes()),
        [WORD; 24].join(" ")
    );
    Server::start([Reply::json(status, &json!({"code": "x", "message": said}).to_string())]).await
}

#[tokio::test]
async fn what_a_provider_repeats_is_not_repeated() -> Result<()> {
    let ground = Ground::new().await?;
    let hex = admin().to_hex();
    for status in [200, 302, 400, 401, 403, 404, 422, 429, 500, 503] {
        let server = echo(status).await?;
        let btcpay = ground.btcpay(&server.url).await?;
        let node = LightningNode { url: "https://n.example", macaroon: &admin(), certificate_sha256: None };
        let store = "a1".parse()?;
        let secret = Secret::new(WEBHOOK_SECRET.to_owned());

        let listed = shows(&btcpay.list_stores().await.unwrap_err());
        assert!(!listed.contains(BTCPAY_KEY), "{listed}");
        let connected = shows(&btcpay.connect_lightning(&store, &node).await.unwrap_err());
        assert!(!connected.contains(&hex[..40]) && !connected.contains(BTCPAY_KEY), "{connected}");
        let hooked = shows(&btcpay.create_webhook(&store, "https://us", &secret).await.unwrap_err());
        assert!(!hooked.contains(WEBHOOK_SECRET), "{hooked}");
        let voltage = ground.voltage(&server.url).await?;
        let made = shows(&voltage.create_node("n").await.unwrap_err());
        assert!(!made.contains(VOLTAGE_KEY), "{made}");
        let known = shows(&lnd(&server.url)?.info(&admin()).await.unwrap_err());
        assert!(!known.contains(&hex[..40]), "{known}");
    }
    Ok(())
}

#[tokio::test]
async fn of_what_a_node_says_to_a_seed_or_a_password_nothing_is_kept() -> Result<()> {
    let seed = Seed::new(vec![WORD.to_owned(); 24])?;
    let password = Secret::new(PASSWORD.to_owned());
    let root_key = Secret::new([7; 32]);
    let keys = WalletKeys { seed: &seed, password: &password, root_key: &root_key };
    for status in [302, 400, 404, 429, 500, 503] {
        let server = echo(status).await?;
        let lnd = lnd(&server.url)?;
        for error in [
            lnd.init_wallet(&keys).await.unwrap_err(),
            lnd.unlock(&password).await.unwrap_err(),
            lnd.gen_seed().await.unwrap_err(),
        ] {
            assert!(!shows(&error).contains(WORD), "{}", shows(&error));
        }
    }
    let unreadable =
        Server::start([Reply::json(200, &json!({"cipher_seed_mnemonic": vec![WORD; 3]}).to_string())])
            .await?;
    let error = lnd(&unreadable.url)?.gen_seed().await.unwrap_err();
    assert!(!shows(&error).contains(WORD), "{}", shows(&error));
    Ok(())
}

#[test]
fn what_holds_a_secret_does_not_print_it() -> Result<()> {
    let seed = Seed::new(vec![WORD.to_owned(); 24])?;
    let password = Secret::new(PASSWORD.to_owned());
    let keys = WalletKeys { seed: &seed, password: &password, root_key: &Secret::new([7; 32]) };
    let node = LightningNode { url: "https://n.example", macaroon: &admin(), certificate_sha256: None };
    let shown = format!("{keys:?} {seed:?} {node:?}");
    assert!(
        !shown.contains(WORD) && !shown.contains(&admin().to_hex()[..40]) && !shown.contains("7, 7"),
        "{shown}"
    );
    let error = Seed::new(vec![WORD.to_owned(); 3]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(WORD));
    Ok(())
}
