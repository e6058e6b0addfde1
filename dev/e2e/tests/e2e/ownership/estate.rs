//! Somebody with one of everything, and a string that is nowhere else in every text of it.

use std::collections::BTreeSet;

use e2e::client::text;
use e2e::openapi::Operation;
use e2e::owner::unique;
use e2e::{Owner, Result, Stack, Tokens, tokens};
use http::Method;
use sandbox::discord::Person as DiscordPerson;
use sandbox::privy::PrivyPerson;
use serde_json::{Value, json};
use tokio_postgres::types::Type;

pub struct Estate {
    pub owner: Owner,
    pub tokens: Tokens,
    user_id: String,
    session_id: String,
    wallet: String,
    privy_id: String,
    email: String,
    /// What nobody else may see.
    canaries: Vec<String>,
}

const KINDS: [&str; 5] = ["did", "node", "email", "discord", "privy"];

impl Estate {
    pub async fn found(stack: &Stack) -> Result<Self> {
        let owner = Owner::new(stack)?;
        let challenge = owner.challenge("default_registration").await?;
        let agent = unique("agent");
        let answer =
            owner.answer(&challenge, &owner.node.sign(&challenge.title)).header("user-agent", &agent);
        let tokens = Tokens::read(&answer.ok().await?)?;
        let (user_id, session_id) = (tokens::user_of(&tokens.access)?, tokens::session_of(&tokens.access)?);
        owner.register(&tokens).ok().await?;
        let registration = owner.registration();
        let of = |field: &str| registration[field].as_str().unwrap_or_default().to_owned();
        let canaries = vec![
            agent,
            user_id.clone(),
            session_id.clone(),
            owner.did.clone(),
            owner.node.pubkey.clone(),
            of("node_id"),
            of("caddy_endpoint"),
            of("admin_macaroon"),
            tokens.refresh.clone(),
        ];
        let wallet = format!("0x{:0>40}", unique(""));
        let email = format!("{}@example.com", unique("owner"));
        let mut estate =
            Self { owner, tokens, user_id, session_id, wallet, privy_id: String::new(), email, canaries };
        estate.set_up(stack).await?;
        estate.link(stack).await?;
        estate.furnish(stack).await?;
        estate.canaries.extend([estate.wallet.clone(), estate.privy_id.clone(), estate.email.clone()]);
        Ok(estate)
    }

    /// A canary, known from now on.
    fn plant(&mut self, what: &str) -> String {
        let canary = unique(what);
        self.canaries.push(canary.clone());
        canary
    }

    async fn post(&self, stack: &Stack, path: &str, body: &Value) -> Result<Value> {
        stack.client.post(path, body).bearer(&self.tokens.access).success().await
    }

    async fn put(&self, stack: &Stack, path: &str, body: &Value) -> Result<Value> {
        let request = stack.client.request(&Method::PUT, path).header("content-type", "application/json");
        request.bearer(&self.tokens.access).body(body.to_string()).success().await
    }

    /// A store, a node and an invoice.
    async fn set_up(&mut self, stack: &Stack) -> Result<()> {
        let username = self.plant("user");
        self.owner.set_up(&self.tokens, &username, "voltage").ok().await?;
        let memo = self.plant("memo");
        let invoice = json!({ "amount_msat": 1_000, "memo": memo });
        let invoice = self.post(stack, "/v1/invoices", &invoice).await?;
        for field in ["invoice_id", "bolt11", "payment_hash"] {
            self.canaries.push(text(&invoice, &format!("/{field}"))?.to_owned());
        }
        Ok(())
    }

    /// An e-mail address, Discord and Privy.
    async fn link(&mut self, stack: &Stack) -> Result<()> {
        self.post(stack, "/v1/auth/identities", &json!({ "email": self.email })).await?;
        let token = stack.mailed_token(&self.email).await?;
        self.post(stack, "/v1/auth/email/verify", &json!({ "token": token })).await?;

        let (name, address) =
            (self.plant("d")[..30].to_owned(), format!("{}@example.com", self.plant("discord")));
        self.canaries.push(name.clone());
        let person = DiscordPerson::new("80351110224678912", &name).email(&address, true);
        let journey = stack.to_discord(person, Some(&self.tokens.access)).await?;
        stack.from_discord(&journey, Some(&self.tokens.access)).success().await?;

        let person = PrivyPerson::new(&unique("p")).wallet(&self.wallet);
        let privy = stack.sandbox.privy().tokens(&person);
        self.privy_id.clone_from(&privy.id);
        let body = json!({ "privyToken": privy.access, "identityToken": privy.identity });
        self.post(stack, "/v1/auth/identities", &body).await?;
        Ok(())
    }

    /// A name, a wallet, preferences, a second session, and things done.
    async fn furnish(&mut self, stack: &Stack) -> Result<()> {
        let (user, session) =
            (format!("/v1/users/{}", self.user_id), format!("/v1/sessions/{}", self.session_id));
        let version = stack.client.get(&user).bearer(&self.tokens.access).ok().await?["version"].clone();
        let name = self.plant("name");
        self.put(stack, &user, &json!({ "displayName": name, "version": version })).await?;
        let address = self.plant("wallet");
        self.post(stack, &format!("{user}/wallet"), &json!({ "walletAddress": address })).await?;
        self.post(stack, &format!("{user}/activity"), &json!({})).await?;
        let action = self.plant("action.");
        let details = json!({ "note": self.plant("note") });
        let log = json!({ "action": action, "details": details });
        self.post(stack, "/v1/activity-logs", &log).await?;
        let preferences = format!("/v1/notifications/preferences/{}", self.user_id);
        self.put(stack, &preferences, &json!({ "email": { "news": true } })).await?;

        let (device, key, push) = (self.plant("device"), self.plant("key"), self.plant("push"));
        let second =
            json!({ "userId": self.user_id, "deviceId": device, "platform": "ios", "idempotencyKey": key });
        let second = self.post(stack, "/v1/sessions", &second).await?;
        self.canaries.push(text(&second, "/id")?.to_owned());
        self.canaries.push(text(&second, "/refreshToken")?.to_owned());
        self.put(stack, &format!("{session}/push-token"), &json!({ "pushToken": push })).await?;
        Ok(())
    }

    /// The path of an operation with each of the owner's things that its parameters can name.
    pub fn paths(&self, operation: &Operation) -> Result<Vec<String>> {
        if operation.parameters().iter().any(|(_, name)| *name == "kind") {
            return KINDS.iter().map(|kind| operation.path_with(|_, _| Ok((*kind).to_owned()))).collect();
        }
        Ok(vec![operation.path_with(|before, name| {
            let value = match (before, name) {
                ("users", "id") | (_, "userId") => &self.user_id,
                ("sessions", "id") => &self.session_id,
                (_, "did") => &self.owner.did,
                (_, "privyId") => &self.privy_id,
                (_, "walletAddress") => &self.wallet,
                _ => anyhow::bail!("{before}/{{{name}}}: say here what of the owner's it names"),
            };
            Ok(value.clone())
        })?])
    }

    /// A body with the owner's things in the fields that can name them.
    pub fn in_body(&self, body: &Value) -> Value {
        let registration = self.owner.registration();
        let value = |name: &str, value: &Value| match name {
            // Topics of one kind of message, not an address.
            "email" if !value.is_string() => value.clone(),
            "userId" => json!(self.user_id),
            "did" => json!(self.owner.did),
            "email" => json!(self.email),
            "privyId" => json!(self.privy_id),
            "walletAddress" => json!(self.wallet),
            "node_id" | "lightning_pubkey" | "caddy_endpoint" | "admin_macaroon" => {
                registration[name].clone()
            }
            "data" => self.in_body(value),
            _ => value.clone(),
        };
        match body {
            Value::Object(fields) => {
                fields.iter().map(|(name, of)| (name.clone(), value(name, of))).collect()
            }
            other => other.clone(),
        }
    }

    /// What of the owner's is in an answer, and was not in the request.
    pub fn seen<'a>(&'a self, answer: &'a str, sent: &'a str) -> impl Iterator<Item = &'a str> {
        let secret = self.canaries.iter().map(String::as_str);
        secret.filter(move |canary| answer.contains(canary) && !sent.contains(canary))
    }

    /// Every row of the owner's, as text.
    pub async fn rows(&self, stack: &Stack) -> Result<BTreeSet<String>> {
        let admin = stack.admin().await?;
        let tables = "SELECT table_name::text, column_name::text FROM information_schema.columns
                      JOIN information_schema.tables USING (table_schema, table_name)
                      WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
                        AND (column_name = 'user_id' OR (table_name, column_name) = ('users', 'id'))";
        let mut rows = BTreeSet::new();
        for table in admin.query_typed(tables, &[]).await? {
            let (table, column): (&str, &str) = (table.get(0), table.get(1));
            let own = format!("SELECT t::text FROM {table} t WHERE {column} = CAST($1 AS uuid)");
            for row in admin.query_typed(&own, &[(&self.user_id, Type::TEXT)]).await? {
                rows.insert(format!("{table} {}", row.get::<_, &str>(0)));
            }
        }
        anyhow::ensure!(rows.iter().any(|row| row.starts_with("users ")), "no such account");
        Ok(rows)
    }
}
