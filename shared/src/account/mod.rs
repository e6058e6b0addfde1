//! Accounts and the identities they are signed in to with.
//!
//! Which identity belongs to whom is decided by one constraint, `identities_kind_subject_key`; every function
//! here that claims one reports the constraint's refusal as the error it means.
//!
//! A node proves itself by a signature, an e-mail address by its mailbox, Discord and Privy by their own word. Until
//! its mailbox has answered an address proves nothing: nobody is joined to it, and nothing is linked to it.

mod external;
mod identity;
mod kind;
mod link;
mod node;
mod prove;
mod standing;
mod unlink;

pub use external::{Came, ComeError, External, come};
pub use identity::{
    ClaimError, Found, Identity, NewIdentity, add, create_with_email, find, list, verify_email,
};
pub use kind::IdentityKind;
pub use link::{LinkError, link, link_email, may_link};
pub use node::{
    Identities, NodeLogin, claim_did, claim_node, create, find_by_node, identities, is_taken, link_node,
    note_login, retire_node,
};
pub use prove::{Proven, prove_by_mail};
pub use standing::{Standing, hold, is_admin, is_known_from, note_sign_in};
pub use unlink::{UnlinkError, Unlinked, unlink};
