//! What a sign-in by Discord and one by Privy have in common: somebody the provider vouches for comes to their account.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::signed_in::{Arrival, SignIns, SignedIn};
use super::{ApiError, Request, account_deleted};
use crate::account::{self, Came, External, IdentityKind, NewIdentity};
use crate::audit::{Auditor, Entry};
use crate::config::Config;
use crate::db::GenericClient;
use crate::email::Email;
use crate::mail::{Kind, Mails};
use crate::password;
use crate::random::Random;
use crate::session::{Device, Ended, Session, own};

/// Signs in whom a provider vouches for. Only functions that may issue tokens have one.
pub struct Vouched {
    pub sign_ins: SignIns,
    pub linker: Linker,
    random: Random,
}

/// Links whom a provider vouches for.
pub struct Linker {
    pub audit: Auditor,
    mails: Mails,
}

impl Vouched {
    /// Wires [`SignIns`] and the [`Linker`].
    pub fn wire(config: &mut Config) -> Self {
        Self { sign_ins: SignIns::wire(config), linker: Linker::wire(config), random: config.random() }
    }

    /// Opens a session of their account, which is made if there is none, and tells the owner of one that was joined.
    /// Commit before it is answered.
    pub async fn sign_in(
        &self,
        client: &impl GenericClient,
        request: &Request,
        (external, device): (&External<'_>, Device<'_>),
        now: OffsetDateTime,
    ) -> Result<SignedIn, ApiError> {
        let came = account::come(client, external, self.random.id(now), now).await?;
        let user_id = came.user_id();
        let standing = account::note_sign_in(client, user_id, now).await?.ok_or_else(account_deleted)?;
        if let Came::ToJoin(_) = came {
            self.linker.welcome(client, (user_id, external.kind), now).await?;
        }
        let identity = (external.kind, external.subject);
        let arrival = Arrival { user_id, identity, pubkey: None, device, admin: standing.admin };
        let signed_in = self.sign_ins.open(client, request, &arrival, now).await?;
        let action = match came {
            Came::Back(_) => "session.created",
            Came::ToJoin(_) => "identity.joined",
            Came::Anew(_) => "account.created",
        };
        let entry = Entry {
            user_id: Some(user_id),
            action,
            resource: ("session", &signed_in.session_id.to_string()),
            // Who they are there is personal, and this row outlives the account.
            details: json!({ "by": external.kind }),
            origin: request.origin(),
            now,
        };
        self.linker.audit.append(client, &entry).await?;
        Ok(signed_in)
    }
}

impl Linker {
    /// Wires the [`Auditor`] and [`Mails`].
    pub fn wire(config: &mut Config) -> Self {
        Self { audit: Auditor::wire(config), mails: Mails::wire(config) }
    }

    /// Tells the owner of an account that was joined. A password that was chosen before the mailbox answered may be that
    /// of somebody who registered with an address of others: it goes, with every session there was.
    async fn welcome(
        &self,
        client: &impl GenericClient,
        (user_id, kind): (Uuid, IdentityKind),
        now: OffsetDateTime,
    ) -> Result<(), ApiError> {
        self.mails.tell(client, (user_id, Kind::IdentityLinked, Some(provider(kind))), now).await?;
        if password::delete_unproven(client, user_id).await? {
            own::end_all(client, user_id, Ended::IdentityJoined, now).await?;
            self.mails.tell(client, (user_id, Kind::PasswordChanged, None), now).await?;
        }
        Ok(())
    }

    /// Links them to the account of a session that stands, and tells its owner. Says whether that is news.
    pub async fn link(
        &self,
        client: &impl GenericClient,
        request: &Request,
        (session, external): (&Session, &External<'_>),
        now: OffsetDateTime,
    ) -> Result<bool, ApiError> {
        let user_id = session.user_id;
        let identity = NewIdentity {
            kind: external.kind,
            subject: external.subject,
            label: external.label,
            verified_at: Some(now),
        };
        let is_news = account::link(client, user_id, &identity, now).await?;
        if is_news {
            let entry = Entry {
                user_id: Some(user_id),
                action: "identity.linked",
                resource: ("user", &user_id.to_string()),
                details: json!({ "kind": external.kind, "session": session.id }),
                origin: request.origin(),
                now,
            };
            self.audit.append(client, &entry).await?;
            let about = (user_id, Kind::IdentityLinked, Some(provider(external.kind)));
            self.mails.tell(client, about, now).await?;
        }
        Ok(is_news)
    }
}

/// The address a provider says it has proven, if it is one we could write to.
pub fn proven_email(text: Option<&str>, proven: bool) -> Option<Email> {
    text.filter(|_| proven).and_then(|text| text.parse().ok())
}

/// What people call it.
pub const fn provider(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::Discord => "Discord",
        IdentityKind::Privy => "Privy",
        IdentityKind::Email => "e-mail",
        IdentityKind::Node | IdentityKind::Did => "node",
    }
}
