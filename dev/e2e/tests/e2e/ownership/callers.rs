//! Who calls: with no token, with one of somebody else's, and with the owner's in every form that is not good.

use e2e::client::Request;
use e2e::{Owner, Result, Stack, tokens};
use serde_json::json;

use super::estate::Estate;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Nobody,
    /// Somebody with a node, signed in a moment ago.
    AnotherUser,
    /// An administrator until a moment ago, whose token still says so.
    FormerAdministrator,
    /// No administrator ever, whose token says so, signed as it should be.
    WouldBeAdministrator,
    RevokedSession,
    ExpiredToken,
    StepUpToken,
    RefreshToken,
}

impl Caller {
    pub const ALL: [Self; 8] = [
        Self::Nobody,
        Self::AnotherUser,
        Self::FormerAdministrator,
        Self::WouldBeAdministrator,
        Self::RevokedSession,
        Self::ExpiredToken,
        Self::StepUpToken,
        Self::RefreshToken,
    ];

    /// Whether they have an account and a session of their own.
    pub fn is_somebody(self) -> bool {
        matches!(self, Self::AnotherUser | Self::FormerAdministrator | Self::WouldBeAdministrator)
    }
}

/// What each has in hand.
pub struct Callers {
    other: Owner,
    former: Owner,
    former_id: String,
    revoked: String,
    expired: String,
    step_up: String,
    refresh: String,
}

impl Callers {
    pub async fn assemble(stack: &Stack, estate: &Estate) -> Result<Self> {
        let (other, former) = (Owner::new(stack)?, Owner::new(stack)?);
        other.sign_in().await?;
        let former_id = tokens::user_of(&former.sign_in().await?.access)?;
        let ended = estate.owner.sign_in().await?;
        let end = format!(
            "UPDATE sessions SET revoked_at = now(), revoked_reason = 'logout' WHERE id = '{}'",
            tokens::session_of(&ended.access)?
        );
        stack.admin().await?.batch_execute(&end).await?;
        Ok(Self {
            other,
            former,
            former_id,
            revoked: ended.access,
            expired: tokens::expired(stack, &estate.tokens.access)?,
            step_up: estate.owner.step_up().await?,
            refresh: estate.tokens.refresh.clone(),
        })
    }

    /// A call may end its session, so everybody who has an account signs in for each.
    pub async fn sign(&self, stack: &Stack, request: Request, caller: Caller) -> Result<Request> {
        let token = match caller {
            Caller::Nobody => return Ok(request),
            Caller::AnotherUser => self.other.sign_in().await?.access,
            Caller::FormerAdministrator => {
                stack.grant_admin(&self.former_id).await?;
                let token = self.former.sign_in().await?.access;
                anyhow::ensure!(tokens::claims(&token)?["scope"] == "user admin", "no administrator's token");
                stack.admin().await?.batch_execute("DELETE FROM admins").await?;
                token
            }
            Caller::WouldBeAdministrator => {
                let token = self.other.sign_in().await?.access;
                tokens::signed_anew(stack, &token, |claims| claims["scope"] = json!("user admin"))?
            }
            Caller::RevokedSession => self.revoked.clone(),
            Caller::ExpiredToken => self.expired.clone(),
            Caller::StepUpToken => self.step_up.clone(),
            Caller::RefreshToken => self.refresh.clone(),
        };
        Ok(request.bearer(&token))
    }
}
