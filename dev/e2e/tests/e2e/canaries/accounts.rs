//! Passwords, addresses, and every token there is of an account, from those who make it to those who take it back.

use anyhow::{Context, ensure};
use e2e::client::{Request, text};
use e2e::owner::unique;
use e2e::person::{refresh, token_in};
use e2e::providers::Journey;
use e2e::{Answer, Client, Result, Session, Stack};
use http::Method;
use sandbox::discord::Person as DiscordPerson;
use sandbox::privy::PrivyPerson;
use sandbox::{DISCORD_CLIENT_ID, DISCORD_REDIRECT_URI, Misbehaviour, Route, Service, When};
use serde_json::{Value, json};

use super::canary::Canaries;
use super::corpus::Corpus;

struct Scene<'a> {
    stack: &'a Stack,
    canaries: &'a mut Canaries,
    corpus: &'a mut Corpus,
    client: Client,
    email: String,
    password: String,
}

/// An account from its registration to its last password, with every trouble on the way.
pub async fn live(stack: &Stack, canaries: &mut Canaries, corpus: &mut Corpus) -> Result<()> {
    let email = format!("{}@example.com", canaries.plant("e-mail address"));
    let password = canaries.plant("password");
    let mut scene = Scene { stack, canaries, corpus, client: stack.client.clone(), email, password };
    let session = scene.registers().await?;
    scene.signs_in().await?;
    scene.by_discord(&session).await?;
    scene.by_privy(&session).await?;
    scene.names_devices(&session).await?;
    scene.gets_a_new_password().await?;
    scene.meets_trouble().await
}

impl Scene<'_> {
    fn heard(&mut self, of: &str, answer: &Answer) {
        self.corpus.answer(of, answer);
    }

    async fn ask(&mut self, of: &str, request: Request) -> Result<Answer> {
        let answer = request.send().await?;
        self.heard(of, &answer);
        Ok(answer)
    }

    /// A session's tokens, of which only the one who got them knows.
    fn tokens(&mut self, answer: &Answer) -> Result<Session> {
        let session = Session::read(&answer.json()?).with_context(|| answer.to_string())?;
        self.canaries.text("refresh token of an account", &session.refresh);
        let signature = session.access.rsplit('.').next().unwrap_or_default();
        self.canaries.text("access token of an account", signature);
        Ok(session)
    }

    /// What was mailed last, to this address, as a canary.
    async fn mailed(&mut self, count: usize) -> Result<String> {
        let letter = self.stack.letter(&self.email, count).await?;
        let token = token_in(&letter).context("a letter without a token")?;
        self.canaries.text("one-time token", &token);
        Ok(token)
    }

    async fn registers(&mut self) -> Result<Session> {
        let body = json!({ "email": self.email, "password": self.password });
        // Mail that is refused is told of, and what was to be sent is not.
        let quote = Misbehaviour::Quote { status: 400 };
        self.stack.sandbox.faults().add(Route::service(Service::Mail), When::Times(1), quote)?;
        let answer = self.ask("a sign-up", self.client.post("/v1/auth/register", &body)).await?;
        let session = self.tokens(&answer)?;
        self.stack.sandbox.faults().clear();
        let resend = self.client.post("/v1/auth/email/resend", &json!({ "email": self.email }));
        self.ask("a second letter", resend.bearer(&session.access)).await?;
        let token = self.mailed(1).await?;
        for _ in 0..2 {
            let verify = self.client.post("/v1/auth/email/verify", &json!({ "token": token }));
            self.ask("a token of an e-mail", verify).await?;
        }
        let again = self.client.post("/v1/auth/register", &body);
        self.ask("a sign-up with an address that is taken", again).await?;
        Ok(session)
    }

    async fn signs_in(&mut self) -> Result<()> {
        let wrong = self.canaries.plant("wrong password");
        let log_in = |password: &str| {
            self.client.post("/v1/auth/login", &json!({ "email": self.email, "password": password }))
        };
        let (wrong, right) = (log_in(&wrong), log_in(&self.password));
        let form = format!("grant_type=password&username={}&password={}", self.email, self.password);
        let form = self.client.request(&Method::POST, "/v1/auth/login").body(form);
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        self.ask("a wrong password", wrong).await?;
        let answer = self.ask("a sign-up", right).await?;
        let session = self.tokens(&answer)?;
        let answer = self.ask("a sign-in by form", form).await?.json()?;
        self.canaries.text("refresh token of a form", text(&answer, "/refresh_token")?);

        let answer = self.ask("a sign-up", refresh(&self.client, &session.refresh)).await?;
        let next = self.tokens(&answer)?;
        let answer = self.ask("a sign-up", refresh(&self.client, &next.refresh)).await?;
        self.tokens(&answer)?;
        // Two behind is a theft: the session ends, and that is told by mail.
        let stolen = self.ask("a stolen token", refresh(&self.client, &session.refresh)).await?;
        ensure!(stolen.status == 401, "{stolen}");
        Ok(())
    }

    async fn goes_to_discord(&mut self, id: &str, bearer: Option<&str>) -> Result<Journey> {
        let journey = self.stack.to_discord(DiscordPerson::new(id, "nelly"), bearer).await?;
        let query = journey.callback.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        for (name, value) in query {
            self.canaries.text(&format!("{name} of Discord"), value);
        }
        let (_, cookie) = journey.cookie.split_once('=').context("no cookie")?;
        self.canaries.text("cookie of Discord", cookie);
        Ok(journey)
    }

    async fn by_discord(&mut self, session: &Session) -> Result<()> {
        let secret = self.canaries.plant("secret at Discord");
        self.stack.sandbox.discord().application(DISCORD_CLIENT_ID, &secret, &[DISCORD_REDIRECT_URI]);
        let document = json!({ "client_id": DISCORD_CLIENT_ID, "client_secret": secret });
        self.stack.sandbox.secrets().put("satchel/discord", &document.to_string());
        // Which of its processes has read the old one, nobody knows.
        self.stack.kill_all().await?;
        for status in [400, 500] {
            let journey = self.goes_to_discord("80351110224678920", None).await?;
            let quote = Misbehaviour::Quote { status };
            self.stack.sandbox.faults().add(Route::service(Service::Discord), When::Always, quote)?;
            self.ask("Discord that quotes", self.stack.from_discord(&journey, None)).await?;
            self.stack.sandbox.faults().clear();
        }
        let journey = self.goes_to_discord("80351110224678921", Some(&session.access)).await?;
        let back = || self.stack.from_discord(&journey, Some(&session.access));
        let (first, second) = (back(), back());
        let linked = self.ask("a link to Discord", first).await?;
        ensure!((200..300).contains(&linked.status), "{linked}");
        self.ask("a state that is spent", second).await?;
        Ok(())
    }

    async fn by_privy(&mut self, session: &Session) -> Result<()> {
        let privy = self.stack.sandbox.privy().tokens(&PrivyPerson::new(&unique("p")));
        for (name, token) in
            [("Privy access token", &privy.access), ("Privy identity token", &privy.identity)]
        {
            self.canaries.text(name, token.rsplit('.').next().unwrap_or_default());
        }
        let body = json!({ "privyToken": privy.access, "identityToken": privy.identity });
        let link = self.client.post("/v1/auth/identities", &body).bearer(&session.access);
        let linked = self.ask("a link to Privy", link).await?;
        ensure!((200..300).contains(&linked.status), "{linked}");
        let answer = self.ask("a sign-up", self.client.post("/v1/auth/login", &body)).await?;
        self.tokens(&answer)?;
        let swapped = json!({ "privyToken": privy.identity });
        self.ask("a Privy token of another kind", self.client.post("/v1/auth/login", &swapped)).await?;
        Ok(())
    }

    async fn names_devices(&mut self, session: &Session) -> Result<()> {
        let push = self.canaries.plant("push token");
        let put = self.client.request(&Method::PUT, &format!("/v1/sessions/{}/push-token", session.id));
        let put = put.header("content-type", "application/json").bearer(&session.access);
        let kept = self.ask("a push token", put.body(json!({ "pushToken": push }).to_string())).await?;
        ensure!((200..300).contains(&kept.status), "{kept}");
        let child = json!({ "deviceId": "phone-1", "platform": "ios" });
        let child = self.client.post("/v1/sessions", &child).bearer(&session.access);
        let child = self.ask("a session of a session", child).await?.json()?;
        self.canaries.text("refresh token of a session", text(&child, "/refreshToken")?);
        for path in [format!("/v1/sessions/user/{}", session.user_id), format!("/v1/sessions/{}", session.id)]
        {
            self.ask("a look at sessions", self.client.get(&path).bearer(&session.access)).await?;
        }
        let me = self.client.get("/v1/auth/me").bearer(&session.access).ok().await?;
        ensure!(me["email"] == self.email.as_str(), "{me}");
        Ok(())
    }

    async fn gets_a_new_password(&mut self) -> Result<()> {
        let before = self.stack.sandbox.mail().inbox(&self.email).len();
        let forgot = self.client.post("/v1/auth/password/forgot", &json!({ "email": self.email }));
        self.ask("a forgotten password", forgot).await?;
        let token = self.mailed(before + 1).await?;
        let (short, new, next) =
            ("short".to_owned(), self.canaries.plant("new password"), self.canaries.plant("next password"));
        for password in [&short, &new, &new] {
            let body = json!({ "token": token, "password": password });
            self.ask("a reset", self.client.post("/v1/auth/password/reset", &body)).await?;
        }
        let body = json!({ "email": self.email, "password": new });
        let answer = self.ask("a sign-up", self.client.post("/v1/auth/login", &body)).await?;
        let session = self.tokens(&answer)?;
        for (current, new) in [(&next, &new), (&new, &next)] {
            let body = json!({ "currentPassword": current, "newPassword": new });
            let change = self.client.post("/v1/auth/password/change", &body).bearer(&session.access);
            self.ask("another password", change).await?;
        }
        self.password = next;
        Ok(())
    }

    /// Postgres tells what it could not write.
    async fn meets_trouble(&mut self) -> Result<()> {
        let admin = self.stack.admin().await?;
        let body: Value = json!({ "email": self.email, "password": self.password });
        let other = format!("{}@example.com", self.canaries.plant("address of whoever failed"));
        let other = json!({ "email": other, "password": self.password });
        for table in ["passwords", "mails", "one_time_tokens", "identities"] {
            admin.batch_execute(&format!("ALTER TABLE {table} RENAME TO mislaid")).await?;
            for (path, body) in [("/v1/auth/login", &body), ("/v1/auth/register", &other)] {
                self.ask("an account without its tables", self.client.post(path, body)).await?;
            }
            admin.batch_execute(&format!("ALTER TABLE mislaid RENAME TO {table}")).await?;
        }
        let none = "ALTER TABLE identities ADD CONSTRAINT none CHECK (user_id IS NULL) NOT VALID";
        admin.batch_execute(none).await?;
        let refused =
            self.ask("an account without its tables", self.client.post("/v1/auth/register", &other)).await?;
        ensure!(refused.status == 500, "{refused}");
        admin.batch_execute("ALTER TABLE identities DROP CONSTRAINT none").await?;
        Ok(())
    }
}
