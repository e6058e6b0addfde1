//! The mark on everything we make elsewhere: whose it is, and that it is ours.

use std::fmt;

use data_encoding::{BASE32_NOPAD, Encoding};
use serde::Deserialize;
use uuid::Uuid;

use crate::config::Config;
use crate::crypto::{Secret, mac};
use crate::secrets::{SecretError, SecretHandle};

/// With the longest deployment id and a two-digit generation a marker has 60 characters: a DNS label holds 63.
const PREFIX: &str = "satchel";
const MAX_DEPLOYMENT_ID_CHARS: usize = 8;
/// 64 bits: what nobody forges who has not the key, and a name has room for.
const MAC_BYTES: usize = 8;
const ENCODING: Encoding = BASE32_NOPAD;

/// The secret document `satchel/marker`. It is never rotated: markers already out there would no longer be ours.
#[derive(Deserialize)]
pub struct MarkerDocument {
    key: Secret<[u8; 32]>,
}

pub struct MarkerKey(Secret<[u8; 32]>);

impl TryFrom<MarkerDocument> for MarkerKey {
    type Error = &'static str;

    fn try_from(document: MarkerDocument) -> Result<Self, Self::Error> {
        let key = document.key.expose();
        if key.iter().all(|byte| *byte == key[0]) {
            Err("is one repeated byte")
        } else {
            Ok(Self(document.key))
        }
    }
}

/// `satchel-<deployment>-<setup id>-<MAC>`, and `-<generation>` from the second on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marker(String);

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes and recognises the markers of this deployment.
pub struct Markers {
    deployment: String,
    key: SecretHandle<MarkerKey>,
}

/// What a marker says, once its MAC was found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    pub setup_id: Uuid,
    pub generation: i32,
}

impl Markers {
    /// Wires `DEPLOYMENT_ID` and `MARKER_SECRET`.
    pub fn wire(config: &mut Config) -> Self {
        let deployment = config.text("DEPLOYMENT_ID");
        let plain = deployment.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !plain || deployment.len() > MAX_DEPLOYMENT_ID_CHARS {
            config.problem("DEPLOYMENT_ID is not 1 to 8 letters a-z and digits");
        }
        Self { deployment, key: config.secret::<MarkerDocument, MarkerKey>("MARKER_SECRET") }
    }

    /// The markers of one moment: the key is fetched once.
    pub async fn get(&self) -> Result<MarkerMaker<'_>, SecretError> {
        Ok(MarkerMaker { deployment: &self.deployment, key: self.key.get().await? })
    }
}

pub struct MarkerMaker<'a> {
    deployment: &'a str,
    key: std::sync::Arc<MarkerKey>,
}

impl MarkerMaker<'_> {
    pub fn mark(&self, marked: Marked) -> Marker {
        let Marked { setup_id, generation } = marked;
        let id = encode(setup_id.as_bytes());
        let tag = mac(
            &self.key.0,
            &[b"marker", self.deployment.as_bytes(), setup_id.as_bytes(), &generation.to_be_bytes()],
        );
        let tag = encode(&tag[..MAC_BYTES]);
        let deployment = self.deployment;
        Marker(if generation == 1 {
            format!("{PREFIX}-{deployment}-{id}-{tag}")
        } else {
            format!("{PREFIX}-{deployment}-{id}-{tag}-{generation}")
        })
    }

    /// What the marker says, if this deployment made it: a name that only looks like one of ours is not ours.
    pub fn read(&self, text: &str) -> Option<Marked> {
        let rest = text.strip_prefix(PREFIX)?.strip_prefix('-')?;
        let rest = rest.strip_prefix(self.deployment)?.strip_prefix('-')?;
        let mut parts = rest.split('-');
        let id = ENCODING.decode(parts.next()?.to_ascii_uppercase().as_bytes()).ok()?;
        let generation = parts.nth(1).map_or(Some(1), |text| text.parse().ok())?;
        let marked = Marked { setup_id: Uuid::from_slice(&id).ok()?, generation };
        (self.mark(marked).0 == text).then_some(marked)
    }
}

fn encode(bytes: &[u8]) -> String {
    ENCODING.encode(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn maker(deployment: &str, byte: u8) -> MarkerMaker<'_> {
        MarkerMaker { deployment, key: Arc::new(MarkerKey(Secret::new([byte; 32]))) }
    }

    fn marked(generation: i32) -> Marked {
        Marked { setup_id: Uuid::from_u128(0x019b_a2a0_b600_7000_8000_0000_0000_0001), generation }
    }

    #[test]
    fn a_marker_names_its_setup_and_fits_a_dns_label() {
        let maker = maker("prod1234", 7);
        for generation in [1, 2, 99] {
            let name = maker.mark(marked(generation)).to_string();
            assert!(name.len() <= 63, "{name} has {} characters", name.len());
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            assert_eq!(maker.read(&name), Some(marked(generation)));
        }
    }

    #[test]
    fn only_this_deployment_s_own_markers_are_recognised() {
        let ours = maker("prod", 7);
        let marker = ours.mark(marked(1)).to_string();
        assert_eq!(maker("prod", 8).read(&marker), None);
        assert_eq!(maker("other", 7).read(&marker), None);
        let others = [
            marker.to_uppercase(),
            format!("{marker}-1"),
            format!("{marker}-2"),
            format!("{marker}x"),
            marker[..marker.len() - 1].to_owned(),
            marker.replace("satchel", "satchel2"),
            String::from("satchel-prod"),
            String::from("my-shop"),
            String::new(),
        ];
        for other in others {
            assert_eq!(ours.read(&other), None, "{other}");
        }
    }

    #[test]
    fn every_single_changed_character_makes_it_another_s() {
        let ours = maker("prod", 7);
        let marker = ours.mark(marked(2)).to_string();
        for at in 0..marker.len() {
            for other in "abz27-".chars() {
                let mut changed: Vec<char> = marker.chars().collect();
                if changed[at] != other {
                    changed[at] = other;
                    assert_eq!(ours.read(&changed.iter().collect::<String>()), None, "{changed:?}");
                }
            }
        }
    }
}
