//! Who a signature signs in as.
//!
//! A signature recovers to some key about half the time, whoever made it; what counts is which key. So the
//! key recovered is compared with the one on record, and no node is ever asked.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::account::{self, ClaimError, LinkError, NodeLogin, Standing};
use crate::challenge::{self, Challenge, ChallengeError, ChallengeType};
use crate::db::{DbError, GenericClient};
use crate::lightning::{Did, Pubkey};
use crate::node::{self, RegisterError};
use crate::session::{self, Ended, Session};

/// What a good signature leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A session for the account of the DID.
    SignIn(Uuid),
    /// An account for a DID nobody has, bound to the key that signed.
    Create,
    /// The approval of one payment.
    StepUp(Uuid),
    /// The key becomes the account's node.
    Link(Uuid),
}

/// Why a signature leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key that signed is not the one asked for.
    WrongSignature,
    /// Nobody has this DID, and the challenge was not for registering.
    UnknownDid,
    /// Registering a DID that has another key already.
    OtherKey,
    /// This kind of challenge is answered at another endpoint.
    NotHere,
}

/// Decides by the challenge and the key its signature recovered to; reads and writes nothing.
pub fn decide(challenge: &Challenge, did: &Did, signer: Pubkey) -> Result<Decision, Refusal> {
    match challenge.kind {
        ChallengeType::NodeRebind => return Err(Refusal::NotHere),
        ChallengeType::NodeLink => {
            let user_id = challenge.user_id.filter(|_| challenge.new_pubkey == Some(signer));
            // A name that is not the account's yet comes with the key, and must not be another key's.
            let is_its_own = |user_id| challenge.account.is_some_and(|account| account.user_id == user_id);
            let named_otherwise = did.self_certified_key().is_some_and(|named| named != signer);
            let user_id = user_id.filter(|user_id| is_its_own(*user_id) || !named_otherwise);
            return user_id.map(Decision::Link).ok_or(Refusal::WrongSignature);
        }
        _ => {}
    }
    if did.self_certified_key().is_some_and(|named| named != signer) {
        return Err(Refusal::WrongSignature);
    }
    let registering = challenge.kind == ChallengeType::DefaultRegistration;
    match challenge.account {
        Some(account) if account.pubkey == Some(signer) => {
            if challenge.kind == ChallengeType::SendBtcOrInternalAccountRebalance {
                Ok(Decision::StepUp(account.user_id))
            } else {
                Ok(Decision::SignIn(account.user_id))
            }
        }
        Some(_) if registering => Err(Refusal::OtherKey),
        Some(_) => Err(Refusal::WrongSignature),
        None if registering => Ok(Decision::Create),
        None => Err(Refusal::UnknownDid),
    }
}

/// Why a decision could not be carried out.
#[derive(Debug)]
pub enum CarryOutError {
    Challenge(ChallengeError),
    Claim(ClaimError),
    Link(LinkError),
    /// The account was deleted.
    Deleted,
    Node(RegisterError),
    Db(DbError),
}

impl From<ChallengeError> for CarryOutError {
    fn from(error: ChallengeError) -> Self {
        Self::Challenge(error)
    }
}

impl From<ClaimError> for CarryOutError {
    fn from(error: ClaimError) -> Self {
        Self::Claim(error)
    }
}

impl From<RegisterError> for CarryOutError {
    fn from(error: RegisterError) -> Self {
        Self::Node(error)
    }
}

impl From<DbError> for CarryOutError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// The account a decision ended at, and the audit action that says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub user_id: Uuid,
    pub action: &'static str,
    /// The account is an administrator's.
    pub admin: bool,
}

/// The key was compared before this transaction began; a rebind since then makes the challenge worthless.
async fn note_login(
    client: &impl GenericClient,
    user_id: Uuid,
    signer: Pubkey,
    now: OffsetDateTime,
) -> Result<Standing, CarryOutError> {
    match account::note_login(client, user_id, signer, now).await? {
        NodeLogin::Noted(standing) => Ok(standing),
        NodeLogin::NotItsNode => Err(ChallengeError::Gone.into()),
        NodeLogin::Deleted => Err(CarryOutError::Deleted),
    }
}

/// Spends the challenge and brings the account about, in the caller's transaction. `new_user_id` is used when
/// an account has to be made.
pub async fn carry_out(
    client: &impl GenericClient,
    challenge: &Challenge,
    (decision, did, signer): (Decision, &Did, Pubkey),
    new_user_id: Uuid,
    now: OffsetDateTime,
) -> Result<Arrival, CarryOutError> {
    challenge::confirm(client, challenge, now).await?;
    let arrived = |user_id, action, Standing { admin }| Arrival { user_id, action, admin };
    match decision {
        Decision::SignIn(user_id) => {
            let standing = note_login(client, user_id, signer, now).await?;
            Ok(arrived(user_id, "session.created", standing))
        }
        Decision::StepUp(user_id) => {
            let standing = note_login(client, user_id, signer, now).await?;
            Ok(arrived(user_id, "step_up.granted", standing))
        }
        Decision::Link(user_id) => {
            // Whoever ends a session ends what was asked for in it.
            let linked = account::link_node(client, (user_id, challenge.id), signer, now).await;
            let standing = linked.map_err(CarryOutError::Link)?.ok_or(ChallengeError::Gone)?;
            // An account that never signed in with a node has no name to go by with one.
            if challenge.account.is_none_or(|account| account.user_id != user_id) {
                account::claim_did(client, user_id, did, now).await?;
            }
            Ok(arrived(user_id, "node.linked", standing))
        }
        Decision::Create => {
            // A DID that names the very key that signed is another name for that key's account.
            let owner = match did.self_certified_key() {
                Some(_) => account::find_by_node(client, signer).await?,
                None => None,
            };
            if let Some(user_id) = owner {
                account::claim_did(client, user_id, did, now).await?;
                let standing = note_login(client, user_id, signer, now).await?;
                return Ok(arrived(user_id, "did.added", standing));
            }
            account::create(client, new_user_id, did, signer, now).await?;
            Ok(arrived(new_user_id, "account.created", Standing { admin: false }))
        }
    }
}

/// Spends the challenge and moves the session's account from its old key to the new one, in the caller's
/// transaction. The old key is nobody's from here on, and every other session of the account is over; returns
/// how many were.
pub async fn rebind(
    client: &impl GenericClient,
    challenge: &Challenge,
    (session, old, new): (&Session, Pubkey, Pubkey),
    now: OffsetDateTime,
) -> Result<u64, CarryOutError> {
    challenge::confirm(client, challenge, now).await?;
    account::retire_node(client, session.user_id, old, now).await?;
    account::claim_node(client, session.user_id, new, now).await?;
    node::rebind(client, session.user_id, new, now).await?;
    Ok(session::end_others(client, session.user_id, session.id, Ended::NodeRebound, now).await?)
}
