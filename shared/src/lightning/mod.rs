//! What Lightning itself defines, as pure code: no network, no database, no clock, no randomness.
//!
//! - [`pubkey`]: a node's public key
//! - [`signed_message`]: what `lncli signmessage` makes, read back
//! - [`did`]: the names people sign in under
//! - [`macaroon`]: what an LND macaroon allows, read without asking its node
//! - [`endpoint`]: where a user says their node is

pub mod did;
pub mod endpoint;
pub mod macaroon;
pub mod pubkey;
pub mod signed_message;

pub use did::Did;
pub use endpoint::NodeEndpoint;
pub use macaroon::Macaroon;
pub use pubkey::Pubkey;
pub use signed_message::MessageSignature;
