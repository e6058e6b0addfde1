use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::crypto::sha256;

const MAX_ID_LENGTH: usize = 64;
/// Of a domain name (RFC 1035, section 2.3.4).
const MAX_NAME_LENGTH: usize = 253;

/// A UUID with a letter behind it, which says that it is a node's. Taken as anything safe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoltageNodeId(String);

/// Empty, too long, or with a character no id has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANodeId;

impl fmt::Display for NotANodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node id has 1 to 64 letters, digits or -")
    }
}

impl std::error::Error for NotANodeId {}

impl VoltageNodeId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VoltageNodeId {
    type Err = NotANodeId;

    fn from_str(text: &str) -> Result<Self, NotANodeId> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if (1..=MAX_ID_LENGTH).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotANodeId)
        }
    }
}

impl fmt::Display for VoltageNodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for VoltageNodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    Provisioning,
    Starting,
    /// LND waits for a wallet, and takes anybody's.
    WaitingInit,
    /// LND was restarted and waits for its password.
    WaitingUnlock,
    Running,
    Stopping,
    Stopped,
    Deleted,
    #[serde(untagged)]
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VoltageNode {
    #[serde(rename = "node_id")]
    pub id: VoltageNodeId,
    #[serde(rename = "node_name")]
    pub name: String,
    pub status: NodeStatus,
    #[serde(default, deserialize_with = "created")]
    pub created: Option<OffsetDateTime>,
    /// The node's host name, once it has one.
    #[serde(default, deserialize_with = "host_name")]
    pub api_endpoint: Option<String>,
    #[serde(default)]
    pub network: Option<String>,
}

/// A time that cannot be read says no more than none.
fn created<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok()))
}

/// Seeds and passwords are sent there: nothing but a name of letters, digits, dots and dashes.
fn host_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?.filter(|name| !name.is_empty());
    match name {
        Some(name) if !is_host_name(&name) => Err(D::Error::custom("not a host name")),
        name => Ok(name),
    }
}

fn is_host_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.len() <= MAX_NAME_LENGTH
        && name
            .split('.')
            .all(|label| !label.is_empty() && !label.starts_with('-') && label.bytes().all(is_plain))
}

#[derive(Deserialize)]
pub(super) struct Id {
    pub(super) node_id: VoltageNodeId,
}

#[derive(Deserialize)]
pub(super) struct List {
    nodes: Option<Vec<VoltageNode>>,
}

impl List {
    pub(super) fn into_nodes(self) -> Vec<VoltageNode> {
        let mut nodes = self.nodes.unwrap_or_default();
        nodes.retain(|node| node.status != NodeStatus::Deleted);
        nodes
    }
}

#[derive(Deserialize)]
pub(super) struct Certificate {
    /// PEM in base64; the node's own certificate comes first in the chain.
    tls_cert: String,
}

impl Certificate {
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        let pem = data_encoding::BASE64.decode(self.tls_cert.trim().as_bytes()).ok()?;
        let certificate = CertificateDer::pem_slice_iter(&pem).next()?.ok()?;
        Some(sha256(&certificate))
    }
}
