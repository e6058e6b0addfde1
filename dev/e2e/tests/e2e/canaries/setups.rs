//! The secrets of setups: the keys to the providers, and what each setup makes, is given and hands on. Of setups that
//! go well, and of setups that meet every trouble there is.

use std::time::Duration;

use anyhow::ensure;
use data_encoding::{BASE64, HEXLOWER};
use e2e::{Answer, Owner, Result, Stack, Tokens};
use sandbox::{Chaos, Misbehaviour, Route, Service, When};
use serde_json::json;

use super::canary::Canaries;
use super::corpus::Corpus;
use super::wallets::{self, Harvest};
use crate::setup::calls::CALLS;

/// More than any trouble here takes: a breaker stays open for a while.
const RUNS: usize = 200;
/// Where among the calls a wallet is there and nothing is baked.
const UNLOCKED_AT: usize = 8;

struct Scene {
    stack: Stack,
    canaries: Canaries,
    corpus: Corpus,
    harvest: Harvest,
    users: usize,
}

/// Somebody whose setup is under way.
struct User {
    owner: Owner,
    tokens: Tokens,
    name: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_setup_is_seen_in_any_log_answer_or_readable_column() -> Result<()> {
    let mut canaries = Canaries::default();
    let stack = Stack::start_with(super::full_of_secrets(&mut canaries)?).await?;
    super::configured(&stack, &mut canaries)?;
    canaries.macaroons();
    let (corpus, harvest) = (Corpus::default(), Harvest::default());
    let mut scene = Scene { stack, canaries, corpus, harvest, users: 0 };

    scene.goes_well().await?;
    scene.on_the_owners_node().await?;
    scene.quoted().await?;
    scene.in_chaos().await?;
    scene.with_strangers_and_without_keys().await?;
    scene.without_tables().await?;
    scene.judge().await
}

impl Scene {
    async fn user(&mut self) -> Result<User> {
        let name = format!("user-{}", self.users);
        self.users += 1;
        let owner = Owner::new(&self.stack)?;
        let tokens = owner.sign_in().await?;
        Ok(User { owner, tokens, name })
    }

    fn heard(&mut self, of: &str, answer: Answer) -> Answer {
        self.corpus.answer(of, &answer);
        answer
    }

    async fn ask(&mut self, user: &User, source: &str) -> Result<Answer> {
        let answer = user.owner.set_up(&user.tokens, &user.name, source).send().await?;
        self.harvest.gather(&self.stack, &user.name, &mut self.canaries).await?;
        Ok(self.heard("a setup", answer))
    }

    async fn resume(&mut self) -> Result<()> {
        self.stack.an_hour_passes().await?;
        let report = self.stack.resume().await?;
        self.corpus.report("the schedule", &report);
        Ok(())
    }

    /// One more run, asked for if it must be; whether it is done by now.
    async fn try_again(&mut self, user: &User) -> Result<bool> {
        self.harvest.gather(&self.stack, &user.name, &mut self.canaries).await?;
        let answer = user.owner.setup_status(&user.tokens).send().await?;
        let status = self.heard("how a setup stands", answer).json()?["status"].clone();
        if status == "failed" {
            self.stack.an_hour_passes().await?;
            let answer = user.owner.retry_setup(&user.tokens).send().await?;
            self.heard("a retry", answer);
        }
        if status != "fully_configured" {
            self.resume().await?;
        }
        Ok(status == "fully_configured")
    }

    /// Whatever it takes.
    async fn finish(&mut self, user: &User) -> Result<()> {
        for _ in 0..RUNS {
            if self.try_again(user).await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("not finished: {}", self.stack.story(&user.name).await?)
    }

    async fn goes_well(&mut self) -> Result<()> {
        let user = self.user().await?;
        ensure!(self.ask(&user, "voltage").await?.status == 200, "it did not go well");
        let setup = self.stack.setup(&user.name).await?;
        let Some((_, node)) = self.stack.made(&setup)?.machine else { anyhow::bail!("no node") };
        wallets::are_the_wallets(&self.stack, &setup, &node).await?;
        for macaroon in [&node.admin_macaroon, &node.invoice_macaroon] {
            self.canaries.bytes("a macaroon of the node's own", &wallets::signature(macaroon)?);
        }
        let elsewhere = user.owner.sign_in().await?;
        let answer = user.owner.take_seed(&user.tokens).send().await?;
        ensure!(self.heard("the handover", answer).status == 200, "no seed");
        let answer = user.owner.take_seed(&elsewhere).send().await?;
        ensure!(self.heard("a handover too many", answer).status == 410, "the seed twice");
        let answer = user.owner.invoice(&user.tokens, 1_000).send().await?;
        ensure!(self.heard("an invoice", answer).status == 201, "no invoice");
        let quote = Misbehaviour::Quote { status: 422 };
        self.stack.sandbox.faults().add(Route::service(Service::Btcpay), When::Times(1), quote)?;
        let answer = user.owner.invoice(&user.tokens, 1_000).send().await?;
        ensure!(self.heard("an invoice that fails", answer).status == 502, "an invoice all the same");
        self.finish(&user).await
    }

    async fn on_the_owners_node(&mut self) -> Result<()> {
        let user = self.user().await?;
        let macaroon = &user.owner.node.invoice_macaroon;
        self.canaries.text("the owner's macaroon", macaroon);
        self.canaries.bytes("signature of the owner's macaroon", &wallets::signature(macaroon)?);
        user.owner.register_within_reach(&self.stack, &user.tokens).await?;
        // BTCPay repeats what it was sent; then it does so in forms of its own, with what it knows besides.
        let forms = [macaroon.to_uppercase(), BASE64.encode(&HEXLOWER.decode(macaroon.as_bytes())?)];
        let key = super::provider_key(&self.stack, "btcpay")?;
        let said = format!("no use: {}; {} of {}", forms[0], forms[1], HEXLOWER.encode(key.as_bytes()));
        let body = json!({ "code": "unusable", "message": said }).to_string();
        let connecting = Route::service(Service::Btcpay).method("PUT");
        let faults = self.stack.sandbox.faults();
        faults.add(connecting.clone(), When::Always, Misbehaviour::Quote { status: 422 })?;
        let answer = self.ask(&user, "registered").await?;
        ensure!(answer.json()?["status"] != "fully_configured", "it was not refused: {answer}");
        faults.clear();
        faults.add(connecting, When::Always, Misbehaviour::FailBefore { status: 422, body })?;
        ensure!(!self.try_again(&user).await?, "it was not refused again");
        faults.clear();
        self.finish(&user).await
    }

    /// Providers that refuse each call and repeat what they were sent, credentials and all.
    async fn quoted(&mut self) -> Result<()> {
        let statuses = [400, 401, 422, 500];
        for (at, call) in CALLS.iter().filter(|call| !call.is_after_a_loss()).enumerate() {
            for status in statuses.into_iter().filter(|status| e2e::full() || *status == statuses[at % 4]) {
                let user = self.user().await?;
                call.strike_always(&self.stack, Misbehaviour::Quote { status })?;
                let answer = self.ask(&user, "voltage").await?;
                ensure!(answer.json()?["status"] != "fully_configured", "{} was never quoted", call.step);
                self.stack.sandbox.faults().clear();
                self.finish(&user).await?;
            }
        }
        // A node that was restarted meanwhile is unlocked with the password, and that is quoted, too.
        let user = self.user().await?;
        CALLS[UNLOCKED_AT].strike_always(&self.stack, Misbehaviour::CloseBefore)?;
        self.ask(&user, "voltage").await?;
        let node = self
            .stack
            .sandbox
            .voltage()
            .nodes()
            .pop()
            .and_then(|node| self.stack.sandbox.nodes().get(&node.lnd));
        node.ok_or_else(|| anyhow::anyhow!("no node"))?.restart();
        self.stack.sandbox.faults().clear();
        let unlocking = Route::service(Service::Lnd).method("POST");
        self.stack.sandbox.faults().add(unlocking, When::Always, Misbehaviour::Quote { status: 500 })?;
        self.resume().await?;
        self.stack.sandbox.faults().clear();
        self.finish(&user).await
    }

    async fn in_chaos(&mut self) -> Result<()> {
        for (seed, service) in (1..).zip([Service::Voltage, Service::Lnd, Service::Btcpay]) {
            let mut chaos = Chaos::everything(seed, 0.25, Duration::from_millis(5));
            chaos.kinds.retain(|kind| !matches!(kind, Misbehaviour::RateLimited { .. }));
            chaos.kinds.push(Misbehaviour::Quote { status: 500 });
            self.stack.sandbox.faults().set_chaos(service, chaos)?;
        }
        let mut users = Vec::new();
        for _ in 0..if e2e::full() { 40 } else { 5 } {
            let user = self.user().await?;
            self.ask(&user, "voltage").await?;
            users.push(user);
        }
        for _ in 0..3 {
            self.resume().await?;
        }
        self.stack.sandbox.faults().clear();
        for user in users {
            self.finish(&user).await?;
        }
        Ok(())
    }

    async fn with_strangers_and_without_keys(&mut self) -> Result<()> {
        self.stack.sandbox.voltage().strangers_take_next(1);
        let user = self.user().await?;
        self.ask(&user, "voltage").await?;
        self.finish(&user).await?;

        let key = |service| super::provider_key(&self.stack, service);
        let (btcpay, voltage) = (key("btcpay")?, key("voltage")?);
        self.stack.sandbox.btcpay().revoke_key(&btcpay);
        let user = self.user().await?;
        ensure!(
            self.ask(&user, "voltage").await?.json()?["status"] != "fully_configured",
            "BTCPay took no key"
        );
        self.stack.sandbox.btcpay().add_key(&btcpay, &["unrestricted"])?;
        self.finish(&user).await?;

        self.stack.sandbox.voltage().revoke_key(&voltage);
        let user = self.user().await?;
        ensure!(
            self.ask(&user, "voltage").await?.json()?["status"] != "fully_configured",
            "Voltage took no key"
        );
        self.stack.sandbox.voltage().accept_key(&voltage);
        self.finish(&user).await
    }

    /// Postgres, too, tells what it could not write.
    async fn without_tables(&mut self) -> Result<()> {
        let admin = self.stack.admin().await?;
        for (away, back) in [
            (
                "ALTER TABLE lightning_setup_secrets RENAME TO mislaid",
                "ALTER TABLE mislaid RENAME TO lightning_setup_secrets",
            ),
            (
                "ALTER TABLE lightning_setup_secrets ADD CONSTRAINT none CHECK (setup_id IS NULL) NOT VALID",
                "ALTER TABLE lightning_setup_secrets DROP CONSTRAINT none",
            ),
            (
                "ALTER TABLE lightning_addresses ADD CONSTRAINT none CHECK (user_id IS NULL) NOT VALID",
                "ALTER TABLE lightning_addresses DROP CONSTRAINT none",
            ),
        ] {
            let user = self.user().await?;
            admin.batch_execute(away).await?;
            let answer = user.owner.set_up(&user.tokens, &user.name, "voltage").send().await?;
            let answer = self.heard("a setup without its tables", answer);
            ensure!(answer.json()?["status"] != "fully_configured", "{away}: {answer}");
            admin.batch_execute(back).await?;
            self.finish(&user).await?;
        }
        Ok(())
    }

    async fn judge(mut self) -> Result<()> {
        for user in 0..self.users {
            self.harvest.gather(&self.stack, &format!("user-{user}"), &mut self.canaries).await?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let Self { stack, canaries, mut corpus, users, .. } = self;
        corpus.log(&stack.log);
        corpus.database(&stack).await?;
        let count = |place: &str| corpus.count(place);
        println!(
            "{users} setups, {} canaries; {} answers, {} lines, {} values",
            canaries.len(),
            count("answer"),
            count("log"),
            count("column")
        );
        assert!(canaries.len() > 5 * users, "{} canaries of {users} setups", canaries.len());
        assert!(stack.log.lines().iter().any(|(_, line)| line.contains("CloudWatchMetrics")), "no metrics");
        for place in [
            "log of setup_lightning",
            "log of resume_lightning_setups",
            "column lightning_setup_log.detail",
            "column audit_logs.details",
        ] {
            assert!(count(place) > users, "{} texts of {place}", count(place));
        }
        for sealed in ["seed_sealed", "password_sealed", "root_key_sealed"] {
            assert_eq!(count(&format!("column lightning_setup_secrets.{sealed}")), users);
        }
        assert_eq!(corpus.seen(&canaries, "seed_sealed of user-0", "answer"), 1, "the owner's own, once");
        let leaks = corpus.leaks(&canaries);
        assert!(leaks.is_empty(), "{} leaks\n{}", leaks.len(), leaks.join("\n"));
        stack.stop().await
    }
}
