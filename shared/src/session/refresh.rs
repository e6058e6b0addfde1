//! A refresh token is good for one rotation. The one before it gets its successor again for a while, so that an answer
//! lost on the way costs nobody their session; after that, whoever brings a spent one is not its owner, or its owner is
//! not alone.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::open::Sessions;
use super::refresh_token::{self, RefreshKey, RefreshToken, key_field};
use crate::crypto::{OpenError, Secret};
use crate::db::{DbError, GenericClient, Row, Type, execute, query_one};
use crate::rate_limit::{self, Exceeded, Limit};
use crate::secrets::SecretError;

/// What is to be done with a refresh token that its session's key made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is the current one: spend it for the next.
    Rotate,
    /// Its successor was sent a moment ago, and perhaps not received: send that again.
    SendAgain,
    /// It was spent before: the session is in two hands.
    EndReused,
    /// No session stands behind it, or it was never sent to anybody.
    Refuse,
    /// Its account is deleted.
    Deleted,
}

/// How far a session's tokens have come.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// That of the current token.
    pub counter: i64,
    /// When the current token was made.
    pub refreshed_at: OffsetDateTime,
}

/// What the token of count `presented` leads to in a session that stands.
pub fn decide(rotation: Rotation, presented: i64, grace: Duration, now: OffsetDateTime) -> Decision {
    match rotation.counter - presented {
        ..0 => Decision::Refuse,
        0 => Decision::Rotate,
        1 if now - rotation.refreshed_at <= grace => Decision::SendAgain,
        _ => Decision::EndReused,
    }
}

/// A session as its refresh token finds it.
pub struct Refreshable {
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub rotation: Rotation,
    pub absolute_expires_at: OffsetDateTime,
    pub is_admin: bool,
    key: RefreshKey,
    has_ended: bool,
    is_deleted: bool,
}

/// Why it could not be found out what a refresh token is worth.
#[derive(Debug)]
pub enum RefreshError {
    Limit(Exceeded),
    Secret(SecretError),
    Open(OpenError),
    Db(DbError),
}

impl From<DbError> for RefreshError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl Refreshable {
    pub fn decide(&self, token: &RefreshToken, grace: Duration, now: OffsetDateTime) -> Decision {
        if self.is_deleted {
            Decision::Deleted
        } else if self.has_ended {
            Decision::Refuse
        } else {
            decide(self.rotation, token.counter, grace, now)
        }
    }

    /// The token that is good now.
    pub fn current_token(&self) -> Secret<String> {
        refresh_token::make(self.session_id, self.rotation.counter, &self.key)
    }

    /// The token that is good once this one is spent.
    pub fn next_token(&self) -> Secret<String> {
        refresh_token::make(self.session_id, self.rotation.counter + 1, &self.key)
    }

    /// How long the session can live at most.
    pub fn left(&self, now: OffsetDateTime) -> Duration {
        Duration::try_from(self.absolute_expires_at - now).unwrap_or_default()
    }
}

impl Sessions {
    /// Counts the request and finds the session that made the token, in one round trip. `None` when no session did.
    pub async fn find_refreshable(
        &self,
        client: &impl GenericClient,
        token: &RefreshToken,
        limits: &[Limit],
        now: OffsetDateTime,
    ) -> Result<Option<Refreshable>, RefreshError> {
        let row = query_one(
            client,
            "SELECT counted.counts, s.id, s.user_id, s.refresh_key_sealed, s.refresh_counter, s.refreshed_at,
                    s.absolute_expires_at, u.deleted_at IS NOT NULL AS is_deleted,
                    s.revoked_at IS NOT NULL OR s.idle_expires_at <= $4 OR s.absolute_expires_at <= $4 AS has_ended,
                    EXISTS (SELECT FROM admins a WHERE a.user_id = s.user_id) AS is_admin
             FROM (SELECT count_request($1, $2) AS counts) counted
             LEFT JOIN sessions s ON s.id = $3
             LEFT JOIN users u ON u.id = s.user_id",
            &[
                (&rate_limit::keys(limits), Type::BYTEA_ARRAY),
                (&rate_limit::window_at(now), Type::TIMESTAMPTZ),
                (&token.session_id, Type::UUID),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
        rate_limit::judge(limits, row.get("counts"), now).map_err(RefreshError::Limit)?;
        if row.get::<_, Option<Uuid>>("id").is_none() {
            return Ok(None);
        }
        let found = self.open_refreshable(&row).await?;
        Ok(Some(found).filter(|found| token.is_made_with(&found.key)))
    }

    async fn open_refreshable(&self, row: &Row) -> Result<Refreshable, RefreshError> {
        let session_id = row.get("id");
        let key = self.open_key(session_id, row.get("refresh_key_sealed")).await?;
        Ok(Refreshable {
            session_id,
            user_id: row.get("user_id"),
            rotation: Rotation { counter: row.get("refresh_counter"), refreshed_at: row.get("refreshed_at") },
            absolute_expires_at: row.get("absolute_expires_at"),
            is_admin: row.get("is_admin"),
            key,
            has_ended: row.get("has_ended"),
            is_deleted: row.get("is_deleted"),
        })
    }

    /// Opens the key that a session's refresh tokens are made with.
    pub(super) async fn open_key(&self, session_id: Uuid, sealed: &[u8]) -> Result<RefreshKey, RefreshError> {
        let ring = self.ring().await.map_err(RefreshError::Secret)?;
        let opened = ring.open(key_field(&session_id), sealed).map_err(RefreshError::Open)?;
        let key = <[u8; 32]>::try_from(opened.expose().as_slice());
        key.map(Secret::new).map_err(|_| RefreshError::Open(OpenError::Malformed))
    }

    /// Spends the current token, and gives the session its idle lifetime anew. `false` when somebody was quicker, or
    /// the session has ended meanwhile.
    pub async fn rotate(
        &self,
        client: &impl GenericClient,
        found: &Refreshable,
        now: OffsetDateTime,
    ) -> Result<bool, DbError> {
        let rotated = execute(
            client,
            "UPDATE sessions
             SET refresh_counter = refresh_counter + 1, refreshed_at = $3, last_seen_at = $3,
                 idle_expires_at = LEAST($4, absolute_expires_at)
             WHERE id = $1 AND refresh_counter = $2 AND revoked_at IS NULL",
            &[
                (&found.session_id, Type::UUID),
                (&found.rotation.counter, Type::INT8),
                (&now, Type::TIMESTAMPTZ),
                (&(now + self.lifetimes.idle), Type::TIMESTAMPTZ),
            ],
        )
        .await?;
        Ok(rotated == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-01-09 12:00 UTC);
    const GRACE: i64 = 60;

    /// Every token that was made, and when; told in the words of the rule rather than by its arithmetic.
    struct Model {
        made_at: Vec<i64>,
        ended: bool,
    }

    impl Model {
        fn present(&mut self, which: usize, at: i64) -> Decision {
            let newest = self.made_at.len() - 1;
            if self.ended || which > newest {
                return Decision::Refuse;
            }
            if which == newest {
                self.made_at.push(at);
                return Decision::Rotate;
            }
            let successor_is_current = which + 1 == newest;
            if successor_is_current && at <= self.made_at[newest] + GRACE {
                return Decision::SendAgain;
            }
            self.ended = true;
            Decision::EndReused
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn every_history_is_decided_as_the_rule_says(
            steps in prop::collection::vec((0..4_usize, any::<bool>(), 0..90_i64), 1..40),
        ) {
            let mut model = Model { made_at: vec![0], ended: false };
            let mut rotation = Rotation { counter: 0, refreshed_at: START };
            let (mut ended, mut clock) = (false, 0);
            for (distance, ahead, wait) in steps {
                clock += wait;
                let newest = model.made_at.len() - 1;
                let which = if ahead { newest + distance } else { newest.saturating_sub(distance) };
                let now = START + time::Duration::seconds(clock);
                let presented = i64::try_from(which).unwrap();
                let grace = Duration::from_mins(1);
                let decision = if ended { Decision::Refuse } else { decide(rotation, presented, grace, now) };
                match decision {
                    Decision::Rotate => {
                        rotation = Rotation { counter: rotation.counter + 1, refreshed_at: now };
                    }
                    Decision::EndReused => ended = true,
                    Decision::SendAgain | Decision::Refuse | Decision::Deleted => {}
                }
                prop_assert_eq!(decision, model.present(which, clock));
            }
        }
    }
}
