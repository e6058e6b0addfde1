//! Users who sign in without a node.

use shared::account::{self, IdentityKind, NewIdentity};
use shared::crypto::Secret;
use shared::db::Db;
use shared::db::roles::Role;
use shared::email::Email;
use shared::password::{self, NewPassword};
use shared::random::Random;
use shared::session::{Device, NewSession, Sessions};
use shared::token::{AccessGrant, TokenIssuer};
use uuid::Uuid;

use crate::World;

/// Somebody with an account, and a session of it that was just begun.
pub struct Person {
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub access_token: String,
    pub refresh_token: String,
}

impl World {
    /// An account as registering leaves it, and, if `verified`, as the mailbox's answer does.
    pub async fn with_email(&self, email: &str, password: &str, verified: bool) -> anyhow::Result<Person> {
        let password = NewPassword::parse(&Secret::new(password.to_owned()))?;
        let hash = password::hash(&password, &Random::system()).await?;
        self.with_hash(email, hash.expose(), verified).await
    }

    /// As [`World::with_email`], with a password that was hashed before, here or elsewhere.
    pub async fn with_hash(&self, email: &str, hash: &str, verified: bool) -> anyhow::Result<Person> {
        let (email, now): (Email, _) = (email.parse()?, self.now());
        let user_id = Random::system().id(now);
        let client = self.db.connect(Role::Auth).await?;
        let created =
            account::create_with_email(&client, user_id, &email, verified.then_some(now), now).await;
        created.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        password::set(&client, user_id, &Secret::new(hash.to_owned()), now).await?;
        self.open_session_by(user_id, (IdentityKind::Email, email.as_str())).await
    }

    /// An account that is signed in to with an identity of a provider, and nothing else.
    pub async fn with_identity(&self, kind: IdentityKind, subject: &str) -> anyhow::Result<Person> {
        let now = self.now();
        let user_id = Random::system().id(now);
        let sql =
            format!("INSERT INTO users (id, created_at, updated_at) VALUES ('{user_id}', now(), now())");
        self.db.admin().await?.batch_execute(&sql).await?;
        let client = self.db.connect(Role::Auth).await?;
        let identity = NewIdentity { kind, subject, label: None, verified_at: Some(now) };
        let added = account::add(&client, user_id, &identity, now).await;
        added.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        self.open_session_by(user_id, (kind, subject)).await
    }

    /// Another session of an account, begun with one of its identities.
    pub async fn open_session_by(
        &self,
        user_id: Uuid,
        identity: (IdentityKind, &str),
    ) -> anyhow::Result<Person> {
        let (now, random) = (self.now(), Random::system());
        let wire = |config: &mut _| (Db::wire(config), TokenIssuer::wire(config), Sessions::wire(config));
        let (db, issuer, sessions) = self.wire("verify_lightning_signature", wire).await?;
        let connection = db.connection().await?;
        let client = connection.client();
        let session = NewSession {
            id: random.id(now),
            user_id,
            identity,
            pubkey: None,
            ip: None,
            user_agent: None,
            device: Device::default(),
            now,
        };
        let refresh = sessions.open(client, &session).await;
        let refresh = refresh.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let admin = account::is_admin(client, user_id).await?;
        let grant = AccessGrant { user_id, session_id: session.id, token_id: random.id(now), admin };
        let token = issuer.access(client, &grant, now).await?;
        Ok(Person {
            user_id,
            session_id: session.id,
            access_token: token.expose().clone(),
            refresh_token: refresh.expose().clone(),
        })
    }

    /// Marks an account as deleted, as its owner may.
    pub async fn delete_account(&self, user_id: Uuid) -> anyhow::Result<()> {
        let sql = format!(
            "UPDATE users SET deleted_at = now() WHERE id = '{user_id}';
             UPDATE sessions SET revoked_at = now(), revoked_reason = 'account_deleted' WHERE user_id = '{user_id}'"
        );
        Ok(self.db.admin().await?.batch_execute(&sql).await?)
    }
}
