//! Amazon SES at `/ses/…`: `POST /ses/v2/email/outbound-emails`, and the mailboxes of everybody it sends to.
//!
//! A request must be signed (Signature Version 4, service `ses`). Of whom we know the secret key, who is [`KNOWN_KEY`],
//! the signature must be right; of others only its form is looked at, as in `secrets_manager`.

mod api;
pub(crate) mod control;
mod signature;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use hyper::{Request, body::Bytes, http::request::Parts};
use serde::Serialize;

use crate::{
    reply::Reply,
    world::{World, lock},
};

const PREFIX: &str = "/ses";

/// The access key id, and secret access key, of a local world.
pub const KNOWN_KEY: &str = "local";

#[derive(Default)]
pub(crate) struct MailState {
    letters: Vec<Letter>,
    /// Addresses that SES sends nothing to, and the code it says so with.
    refused: BTreeMap<String, String>,
    /// What has to be proven before anything is sent from it is not looked at, but for these.
    unverified: BTreeSet<String>,
}

/// A mail that was sent. It prints neither subject nor text, for it may hold a token.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    pub id: String,
    pub from: String,
    pub to: String,
    pub subject: String,
    pub text: String,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("id", &self.id).field("to", &self.to).finish_non_exhaustive()
    }
}

/// The mailboxes as a test sees them.
#[derive(Clone)]
pub struct Mail(pub(crate) Arc<World>);

impl Mail {
    /// What `SES_URL` is to be.
    pub fn url(&self) -> String {
        format!("{}{PREFIX}", self.0.base_url)
    }

    /// What was sent to this address, oldest first.
    pub fn inbox(&self, address: &str) -> Vec<Letter> {
        self.letters().into_iter().filter(|letter| letter.to == address).collect()
    }

    /// All that was sent, oldest first.
    pub fn letters(&self) -> Vec<Letter> {
        lock(&self.0.mail).letters.clone()
    }

    /// Nothing is sent to this address any more; 400 and this code, `MessageRejected` for instance.
    pub fn refuse(&self, address: &str, code: &str) {
        lock(&self.0.mail).refused.insert(address.to_owned(), code.to_owned());
    }

    /// Mails to this address are sent again.
    pub fn accept(&self, address: &str) {
        lock(&self.0.mail).refused.remove(address);
    }

    /// Nothing is sent from this address: nobody has proven to SES that it is ours.
    pub fn unverify(&self, from: &str) {
        lock(&self.0.mail).unverified.insert(from.to_owned());
    }
}

pub(crate) fn claims(parts: &Parts) -> bool {
    parts.uri.path().strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    api::answer(world, request)
}
