//! Mail: written down with the change it tells of, sent once that is committed, and sent again by `send_mails` until it
//! is taken.
//!
//! Address and token are sealed, and gone from the database once the mail is. Neither is ever logged: a line about a
//! mail has its id, its kind and the code of what went wrong. A mail may come twice, when whoever sent it ended before
//! that was written down.

mod queue;
mod send;
mod text;

use std::fmt;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::crypto::{Field, KeyRing, OpenError, Purpose, SealError, SealingKeys, Secret};
use crate::db::{DbError, GenericClient};
use crate::email::Email;
use crate::random::Random;
use crate::secrets::{SecretError, SecretHandle};

pub use queue::{Depth, delete_finished, depth};
pub use send::{Fate, Sender};

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    VerifyEmail,
    LinkEmail,
    ResetPassword,
    PasswordChanged,
    IdentityLinked,
    IdentityUnlinked,
    SessionReuseDetected,
    AccountDeleted,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::VerifyEmail,
        Self::LinkEmail,
        Self::ResetPassword,
        Self::PasswordChanged,
        Self::IdentityLinked,
        Self::IdentityUnlinked,
        Self::SessionReuseDetected,
        Self::AccountDeleted,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::LinkEmail => "link_email",
            Self::ResetPassword => "reset_password",
            Self::PasswordChanged => "password_changed",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityUnlinked => "identity_unlinked",
            Self::SessionReuseDetected => "session_reuse_detected",
            Self::AccountDeleted => "account_deleted",
        }
    }

    /// How long it is tried: what brings a token, for as long as the token is good.
    const fn tried_for(self) -> Duration {
        match self {
            Self::ResetPassword => Duration::hours(1),
            _ => Duration::hours(24),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A mail to be written down.
pub struct NewMail<'a> {
    pub user_id: Uuid,
    pub kind: Kind,
    pub to: &'a Email,
    /// What they are to bring back.
    pub token: Option<&'a Secret<String>>,
    /// What was linked or unlinked, as people call it: `Discord`.
    pub about: Option<&'a str>,
}

/// What is sealed of a mail, as JSON.
#[derive(Serialize)]
struct ToSeal<'a> {
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'a str>,
}

#[derive(Deserialize)]
struct Content {
    to: String,
    token: Option<Secret<String>>,
    about: Option<String>,
}

/// A mail that is written down and in the hands of whoever wrote it, until [`LEASE`](queue::LEASE) is over.
pub struct Written {
    id: Uuid,
    kind: Kind,
    /// False for what was only gone through the motions of, because the account is not there.
    exists: bool,
    attempts: i32,
    created_at: OffsetDateTime,
    content: Result<Content, OpenError>,
}

/// Why a mail was not written down. The transaction it belongs to must not be committed.
#[derive(Debug)]
pub enum MailError {
    Secret(SecretError),
    Seal(SealError),
    Db(DbError),
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(source) => source.fmt(f),
            Self::Seal(source) => source.fmt(f),
            Self::Db(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for MailError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Secret(source) => source.source(),
            Self::Seal(source) => source.source(),
            Self::Db(source) => source.source(),
        }
    }
}

impl From<DbError> for MailError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// Writes mail down for a function.
#[derive(Clone)]
pub struct Mails {
    sealing: SecretHandle<KeyRing>,
    random: Random,
    /// There is somebody to send it.
    offered: bool,
}

impl Mails {
    /// Wires `SEALING_SECRET`, and `MAIL_FROM`, without which no mail is written or sent.
    pub fn wire(config: &mut Config) -> Self {
        Self {
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            random: config.random(),
            offered: config.optional("MAIL_FROM").is_some(),
        }
    }

    /// Writes the mail down in the transaction of what it tells of, for [`Sender::send_now`] to send once that is
    /// committed; whoever does not leaves it to `send_mails`. For an account that is not there nothing is written and
    /// nothing sent, by the same statements, so that whoever watches learns nothing.
    pub async fn put(
        &self,
        client: &impl GenericClient,
        mail: &NewMail<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<Written>, MailError> {
        if !self.offered {
            return Ok(None);
        }
        let id = self.random.id(now);
        let token = mail.token.map(|token| token.expose().as_str());
        let to_seal = ToSeal { to: mail.to.as_str(), token, about: mail.about };
        let json = Zeroizing::new(serde_json::to_vec(&to_seal).unwrap_or_default());
        let ring = self.sealing.get().await.map_err(MailError::Secret)?;
        let sealed = ring.seal(field(&id), &json, now, &self.random).map_err(MailError::Seal)?;
        let exists = queue::put(client, (id, mail.user_id, mail.kind), &sealed, now).await?;
        let content = Content {
            to: mail.to.as_str().to_owned(),
            token: mail.token.cloned(),
            about: mail.about.map(str::to_owned),
        };
        Ok(Some(Written { id, kind: mail.kind, exists, attempts: 1, created_at: now, content: Ok(content) }))
    }

    /// Tells the account's owner, where there is an address that was proven to be theirs.
    pub async fn tell(
        &self,
        client: &impl GenericClient,
        (user_id, kind, about): (Uuid, Kind, Option<&str>),
        now: OffsetDateTime,
    ) -> Result<Option<Written>, MailError> {
        if !self.offered {
            return Ok(None);
        }
        match queue::address_of(client, user_id).await? {
            Some(to) => self.put(client, &NewMail { user_id, kind, to: &to, token: None, about }, now).await,
            None => Ok(None),
        }
    }
}

fn field(id: &Uuid) -> Field<'_> {
    Field { purpose: Purpose::Mail, table: "mails", column: "content_sealed", row: id.as_bytes() }
}
