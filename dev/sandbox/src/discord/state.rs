//! What Discord knows: applications, who sits at the browser, codes and tokens that are out.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

use super::{CLIENT_ID, CLIENT_SECRET, Person, REDIRECT_URI};
use crate::seed::Seed;

const CODE_LIVES: Duration = Duration::minutes(10);
pub(super) const TOKEN_LIVES: Duration = Duration::days(7);

pub(crate) struct DiscordState {
    seed: Seed,
    drawn: u64,
    applications: BTreeMap<String, Application>,
    pub(super) person: Person,
    pub(super) deny_next: bool,
    codes: BTreeMap<String, Code>,
    tokens: BTreeMap<String, Grant>,
}

pub(super) struct Application {
    pub(super) secret: String,
    pub(super) redirect_uris: Vec<String>,
}

pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    scope: String,
    person: Person,
    until: OffsetDateTime,
}

/// What an access token stands for.
pub(super) struct Grant {
    client_id: String,
    pub(super) person: Person,
    pub(super) scope: String,
    until: OffsetDateTime,
}

impl Grant {
    pub(super) fn may(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|granted| granted == scope)
    }
}

impl DiscordState {
    pub(crate) fn new(seed: Seed) -> Self {
        let mut state = Self {
            seed,
            drawn: 0,
            applications: BTreeMap::new(),
            person: Person::new("80351110224678912", "nelly").email("nelly@discord.example", true),
            deny_next: false,
            codes: BTreeMap::new(),
            tokens: BTreeMap::new(),
        };
        state.add_application(CLIENT_ID, CLIENT_SECRET, vec![REDIRECT_URI.to_owned()]);
        state
    }

    pub(super) fn add_application(&mut self, client_id: &str, secret: &str, redirect_uris: Vec<String>) {
        let application = Application { secret: secret.to_owned(), redirect_uris };
        self.applications.insert(client_id.to_owned(), application);
    }

    pub(super) fn find_application(&self, client_id: &str) -> Option<&Application> {
        self.applications.get(client_id)
    }

    fn draw(&mut self) -> String {
        self.drawn += 1;
        let bytes = self.seed.bytes(&format!("discord {}", self.drawn));
        data_encoding::BASE64URL_NOPAD.encode(&bytes).chars().take(30).collect()
    }

    pub(super) fn make_code(
        &mut self,
        client_id: &str,
        redirect_uri: &str,
        challenge: Option<&str>,
        scope: &str,
        now: OffsetDateTime,
    ) -> String {
        let text = self.draw();
        let code = Code {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.map(str::to_owned),
            scope: scope.to_owned(),
            person: self.person.clone(),
            until: now + CODE_LIVES,
        };
        self.codes.insert(text.clone(), code);
        text
    }

    pub(super) fn find_code(&self, text: &str, now: OffsetDateTime) -> Option<&Code> {
        self.codes.get(text).filter(|code| now < code.until)
    }

    /// The code is used up; the access token and the refresh token, and what they are for.
    pub(super) fn redeem(&mut self, code: &str, now: OffsetDateTime) -> Option<(String, String, String)> {
        let Code { client_id, scope, person, .. } = self.codes.remove(code)?;
        let (access, refresh) = (self.draw(), self.draw());
        let grant = Grant { client_id, person, scope: scope.clone(), until: now + TOKEN_LIVES };
        self.tokens.insert(access.clone(), grant);
        Some((access, refresh, scope))
    }

    pub(super) fn grant(&self, token: &str, now: OffsetDateTime) -> Option<&Grant> {
        self.tokens.get(token).filter(|grant| now < grant.until)
    }

    /// With one token go all of that person's authorization; gives how many.
    pub(super) fn revoke(&mut self, token: &str, client_id: &str) -> usize {
        let Some(grant) = self.tokens.get(token).filter(|grant| grant.client_id == client_id) else {
            return 0;
        };
        let (id, before) = (grant.person.id.clone(), self.tokens.len());
        self.tokens.retain(|_, grant| grant.client_id != client_id || grant.person.id != id);
        before - self.tokens.len()
    }

    pub(super) fn live_tokens(&self, now: OffsetDateTime) -> usize {
        self.tokens.values().filter(|grant| now < grant.until).count()
    }
}
