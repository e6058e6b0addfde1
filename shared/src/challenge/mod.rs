//! Challenges: a text of ours that a node signs, once, for one purpose, within minutes.
//!
//! The text is the whole agreement. It names our domain, so that a signature given here is worth nothing
//! elsewhere; its purpose, so that a sign-in cannot be spent on money; and for money, the amount and where it
//! goes. The server stores its copy and verifies over that, never over a text that came back.

mod purpose;
mod store;
mod text;

pub use purpose::{ChallengeType, Purpose, domain};
pub use store::{
    Account, Challenge, ChallengeError, confirm, create, delete_expired, find_open, note_wrong_answer,
};
pub use text::NewChallenge;

/// Wrong answers a challenge bears before it takes no more.
pub const MAX_WRONG_ANSWERS: i32 = 10;
/// No text to sign is longer; the parts are bounded so that this always holds.
pub const MAX_TEXT_BYTES: usize = 1024;
pub const MAX_DOMAIN_BYTES: usize = 128;
pub const MAX_DESTINATION_BYTES: usize = 512;
/// All the bitcoin there will ever be.
pub const MAX_AMOUNT_MSAT: i64 = 21_000_000 * 100_000_000 * 1_000;
