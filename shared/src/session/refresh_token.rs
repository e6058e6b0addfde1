//! `version | session id | counter | MAC`, in base64url. Opaque to everybody but us: the key of the MAC is the session's
//! own, and sealed.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use crate::crypto::{Field, Purpose, Secret, mac};

const VERSION: u8 = 1;
/// Half a MAC: 128 bits that nobody guesses.
const MAC_BYTES: usize = 16;
const ID_BYTES: usize = 16;
const COUNTER_BYTES: usize = 8;
const BYTES: usize = 1 + ID_BYTES + COUNTER_BYTES + MAC_BYTES;

/// What makes a session's refresh tokens.
pub type RefreshKey = Secret<[u8; 32]>;

/// A refresh token as somebody presented it. Whether we made it shows with its session's key.
#[derive(Debug)]
pub struct RefreshToken {
    pub session_id: Uuid,
    pub counter: i64,
    tag: [u8; MAC_BYTES],
}

impl RefreshToken {
    /// `None` for what cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != BASE64URL_NOPAD.encode_len(BYTES) {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_at_checked(ID_BYTES)?;
        let (counter, tag) = rest.split_at_checked(COUNTER_BYTES)?;
        let counter = i64::from_be_bytes(counter.try_into().ok()?);
        let token = Self { session_id: Uuid::from_slice(id).ok()?, counter, tag: tag.try_into().ok()? };
        (*version == VERSION && counter >= 0).then_some(token)
    }

    /// Whether the session's key made it.
    pub fn is_made_with(&self, key: &RefreshKey) -> bool {
        verify_slices_are_equal(&self.tag, &tag(self.session_id, self.counter, key)).is_ok()
    }
}

/// The session's refresh token of this count.
pub fn make(session_id: Uuid, counter: i64, key: &RefreshKey) -> Secret<String> {
    let mut token = Vec::with_capacity(BYTES);
    token.push(VERSION);
    token.extend_from_slice(session_id.as_bytes());
    token.extend_from_slice(&counter.to_be_bytes());
    token.extend_from_slice(&tag(session_id, counter, key));
    Secret::new(BASE64URL_NOPAD.encode(&token))
}

fn tag(session_id: Uuid, counter: i64, key: &RefreshKey) -> [u8; MAC_BYTES] {
    let whole = mac(key, &[&[VERSION], session_id.as_bytes(), &counter.to_be_bytes()]);
    let mut half = [0; MAC_BYTES];
    half.copy_from_slice(&whole[..MAC_BYTES]);
    half
}

/// Where the key stands, sealed.
pub(super) fn key_field(session_id: &Uuid) -> Field<'_> {
    Field {
        purpose: Purpose::RefreshKey,
        table: "sessions",
        column: "refresh_key_sealed",
        row: session_id.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_token_reads_back_as_it_was_made_and_under_no_other_key(
            id in any::<u128>(), counter in 0..i64::MAX, key in any::<[u8; 32]>(), other in any::<[u8; 32]>(),
        ) {
            let (id, key) = (Uuid::from_u128(id), Secret::new(key));
            let token = RefreshToken::parse(make(id, counter, &key).expose()).unwrap();
            prop_assert_eq!((token.session_id, token.counter), (id, counter));
            prop_assert!(token.is_made_with(&key));
            prop_assert_eq!(token.is_made_with(&Secret::new(other)), other == *key.expose());
        }

        #[test]
        fn a_token_changed_anywhere_is_not_ours(
            key in any::<[u8; 32]>(), counter in 0..i64::MAX, place in 0..55_usize, with in "[A-Za-z0-9_-]",
        ) {
            let key = Secret::new(key);
            let mut text = make(Uuid::from_u128(7), counter, &key).expose().clone();
            prop_assume!(text[place..=place] != with);
            text.replace_range(place..=place, &with);
            prop_assert!(RefreshToken::parse(&text).is_none_or(|token| !token.is_made_with(&key)));
        }

        #[test]
        fn nothing_else_is_taken_for_one(text in ".{0,80}") {
            let key = Secret::new([7; 32]);
            prop_assert!(RefreshToken::parse(&text).is_none_or(|token| !token.is_made_with(&key)));
        }
    }
}
