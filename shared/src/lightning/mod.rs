//! What Lightning itself defines, as pure code: no network, no database, no clock, no randomness.
//!
//! - [`pubkey`]: a node's public key
//! - [`signed_message`]: what `lncli signmessage` makes, read back
//! - [`did`]: the names people sign in under
//! - [`macaroon`]: what an LND macaroon allows, read without asking its node
//! - [`endpoint`]: where a user says their node is
//! - [`bolt11`](mod@bolt11): invoices

pub mod bolt11;
pub mod did;
pub mod endpoint;
pub mod macaroon;
pub mod pubkey;
pub mod signed_message;

pub use bolt11::{Bolt11, Network};
pub use did::Did;
pub use endpoint::NodeEndpoint;
pub use macaroon::{Macaroon, Op};
pub use pubkey::Pubkey;
pub use signed_message::MessageSignature;
