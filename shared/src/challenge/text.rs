use std::fmt::Write;
use std::time::Duration;

use data_encoding::HEXLOWER;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Purpose;
use crate::lightning::Did;

/// A challenge about to be given out.
pub struct NewChallenge<'a> {
    pub id: Uuid,
    pub did: &'a Did,
    pub purpose: Purpose,
    pub nonce: [u8; 32],
    pub issued_at: OffsetDateTime,
    pub lifetime: Duration,
}

impl NewChallenge<'_> {
    pub fn expires_at(&self) -> OffsetDateTime {
        self.issued_at + self.lifetime
    }

    /// The exact text to sign: lines ended by LF, none at the end, printable ASCII.
    pub fn text(&self, domain: &str) -> String {
        let mut text = format!(
            "satchel-login:v1\ndomain: {domain}\npurpose: {}\ndid: {}\n",
            self.purpose.challenge_type().name(),
            self.did
        );
        // Writing to a string does not fail.
        let _ = match &self.purpose {
            Purpose::SignIn(_) => Ok(()),
            Purpose::StepUp { amount_msat, destination } => {
                writeln!(text, "amount_msat: {amount_msat}\ndestination: {destination}")
            }
            Purpose::NodeLink { new, .. } => writeln!(text, "new_lightning_pubkey: {new}"),
            Purpose::NodeRebind { old, new, .. } => {
                writeln!(text, "lightning_pubkey: {old}\nnew_lightning_pubkey: {new}")
            }
        };
        let _ = write!(
            text,
            "challenge: {}\nnonce: {}\nissued: {}\nexpires: {}",
            self.id,
            HEXLOWER.encode(&self.nonce),
            self.issued_at.unix_timestamp(),
            self.expires_at().unix_timestamp()
        );
        text
    }
}
