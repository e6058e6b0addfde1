use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::crypto::sha256;
use crate::upstream::{Answer, List, Trouble};

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoltageNode {
    pub id: VoltageNodeId,
    /// Empty when it has none; not one of ours then.
    pub name: String,
    pub status: NodeStatus,
    pub created: Option<OffsetDateTime>,
    /// The node's host name, once it has one.
    pub api_endpoint: Option<String>,
    pub network: Option<String>,
}

/// A node as Voltage writes it.
#[derive(Deserialize)]
pub(super) struct Document {
    node_id: VoltageNodeId,
    #[serde(default)]
    node_name: Option<String>,
    status: NodeStatus,
    #[serde(default, deserialize_with = "created")]
    created: Option<OffsetDateTime>,
    #[serde(default)]
    api_endpoint: Option<String>,
    #[serde(default)]
    network: Option<String>,
}

/// Seeds and passwords are sent there: nothing but a name of letters, digits, dots and dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAHostName;

impl Document {
    pub(super) fn node(mut self) -> Result<VoltageNode, NotAHostName> {
        let host = self.take_host()?;
        Ok(self.at(host))
    }

    fn take_host(&mut self) -> Result<Option<String>, NotAHostName> {
        match self.api_endpoint.take().filter(|name| !name.is_empty()) {
            Some(name) if !is_host_name(&name) => Err(NotAHostName),
            name => Ok(name),
        }
    }

    fn at(self, api_endpoint: Option<String>) -> VoltageNode {
        VoltageNode {
            id: self.node_id,
            name: self.node_name.unwrap_or_default(),
            status: self.status,
            created: self.created,
            api_endpoint,
            network: self.network,
        }
    }
}

/// A time that cannot be read says no more than none.
fn created<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok()))
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
struct ListDocument<'a> {
    #[serde(borrow)]
    nodes: Option<Vec<&'a RawValue>>,
}

/// The nodes of an account, deleted ones aside.
pub(super) struct Nodes(List<Document>);

impl Nodes {
    pub(super) fn read(answer: &Answer) -> Result<Self, Trouble> {
        let document: ListDocument<'_> = answer.borrowed()?;
        let mut list = List::<Document>::read(answer, &document.nodes.unwrap_or_default())?;
        list.entries.retain(|node| node.status != NodeStatus::Deleted);
        Ok(Self(list))
    }

    /// Whether it holds a node, or may: not every entry can be read.
    pub(super) fn may_hold(&self, id: &VoltageNodeId) -> bool {
        self.0.entries.iter().any(|node| node.node_id == *id)
            || self.0.odd("node_id").any(|odd| odd.is_none_or(|odd| odd == id.as_str()))
    }

    /// A host that is more than a name is left out, and its node is not: nobody goes by a list to a node's host.
    pub(super) fn into_nodes(self) -> Vec<VoltageNode> {
        let node = |mut node: Document| {
            let host = node.take_host().unwrap_or_else(|NotAHostName| {
                tracing::warn!(target: "upstream", voltage_node_id = %node.node_id, "an endpoint that is no host name");
                None
            });
            node.at(host)
        };
        self.0.entries.into_iter().map(node).collect()
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
