//! Voltage: LND nodes made and unmade.
//!
//! The API knows no idempotency either, but a name is taken once per network: whoever names a node by his own mark
//! finds it again in the list.

mod answer;
mod node;
mod settings;

use http::Method;
use serde::Serialize;

use node::Nodes;
pub use node::{NodeStatus, NotANodeId, VoltageNode, VoltageNodeId};
use settings::Settings;

use crate::config::Config;
use crate::upstream::{
    Answer, ApiKey, ApiKeyDocument, Call, Keyed, MAX_LIST, Pins, Provider, Repeat, Trouble, Upstream,
    UpstreamError, code,
};

/// A Voltage account, the key to it, and what its nodes are to be like.
#[derive(Clone)]
pub struct Voltage {
    settings: Settings,
    keyed: Keyed,
}

impl Voltage {
    /// Reads `VOLTAGE_SECRET`, without which there is no Voltage, and what begins with `VOLTAGE_` beside it;
    /// `EGRESS_ADDRESSES` are whom a node talks to, `any` for everybody.
    pub fn wire(config: &mut Config, upstream: &Upstream) -> Option<Self> {
        let key = config.optional_secret::<ApiKeyDocument, ApiKey>("VOLTAGE_SECRET")?;
        let settings = Settings::read(config, upstream.scheme())?;
        let keyed = Keyed {
            provider: Provider::Voltage,
            upstream: upstream.clone(),
            key,
            sign: |call, key| call.credential("x-voltage-auth", key.expose(), key.expose()),
            refused: code::VOLTAGE_KEY_REFUSED,
            unavailable: code::VOLTAGE_KEY_UNAVAILABLE,
        };
        Some(Self { settings, keyed })
    }

    /// Makes a node, which costs money from now on. A name that is taken is `VOLTAGE_NAME_TAKEN`.
    pub async fn create_node(&self, name: &str) -> Result<VoltageNodeId, UpstreamError> {
        let call = self.call(Repeat::Unsafe, Method::POST, "/node/create");
        let call = call.json(&self.settings.new_node(name));
        self.send(call, |answer| answer.json::<node::Id>().map(|made| made.node_id)).await
    }

    /// Every node of the account, on any network; deleted ones are not there.
    pub async fn list_nodes(&self) -> Result<Vec<VoltageNode>, UpstreamError> {
        Ok(self.nodes().await?.into_nodes())
    }

    /// A node that is gone, from the list too, is `VOLTAGE_NOT_FOUND`.
    pub async fn node(&self, id: &VoltageNodeId) -> Result<VoltageNode, UpstreamError> {
        self.ask("/node", id, |answer| {
            let node = answer.json::<node::Document>()?.node();
            let node =
                node.map_err(|node::NotAHostName| answer.unexpected("an endpoint that is no host name"))?;
            if node.id == *id { Ok(node) } else { Err(answer.unexpected("another node")) }
        })
        .await
    }

    /// A node that is not there is deleted.
    pub async fn delete_node(&self, id: &VoltageNodeId) -> Result<(), UpstreamError> {
        match self.send(self.about("/node/delete", id), |_| Ok(())).await {
            Err(error) if error.is(code::VOLTAGE_NOT_FOUND) || error.is(code::VOLTAGE_REJECTED) => {
                if self.nodes().await?.may_hold(id) { Err(error) } else { Ok(()) }
            }
            other => other,
        }
    }

    /// SHA-256 of the certificate a node shows.
    pub async fn certificate(&self, id: &VoltageNodeId) -> Result<[u8; 32], UpstreamError> {
        self.ask("/node/cert", id, |answer| {
            let certificate: node::Certificate = answer.json()?;
            certificate.sha256().ok_or_else(|| answer.unexpected("no certificate"))
        })
        .await
    }

    /// Whom to trust as a node's LND: its own certificate, or the public roots, as `VOLTAGE_NODE_CERTIFICATE` says.
    pub async fn pins(&self, id: &VoltageNodeId) -> Result<Pins, UpstreamError> {
        if self.settings.pinned { Ok(Pins(vec![self.certificate(id).await?])) } else { Ok(Pins::public()) }
    }

    /// Where a node's REST interface is.
    pub fn node_url(&self, api_endpoint: &str) -> String {
        self.settings.node_url(api_endpoint)
    }

    fn call(&self, repeat: Repeat, method: Method, path: &str) -> Call {
        Call::new(Provider::Voltage, repeat, method, self.settings.base.with(path))
    }

    /// Every one of these says something of a node, or makes so what may be so already.
    fn about(&self, path: &str, id: &VoltageNodeId) -> Call {
        #[derive(Serialize)]
        struct About<'a> {
            node_id: &'a str,
        }
        self.call(Repeat::Safe, Method::POST, path).json(&About { node_id: id.as_str() })
    }

    /// Voltage says 400 of a node that is gone, as of anything else it does not like. Its list does not lie.
    async fn nodes(&self) -> Result<Nodes, UpstreamError> {
        let call = self.call(Repeat::Safe, Method::GET, "/node").limit(MAX_LIST);
        self.send(call, Nodes::read).await
    }

    /// Asks about a node that should be there. That it is gone is believed of two answers, not of one: what follows
    /// from it costs money.
    async fn ask<T>(
        &self,
        path: &str,
        id: &VoltageNodeId,
        read: impl Fn(&Answer) -> Result<T, Trouble>,
    ) -> Result<T, UpstreamError> {
        let said = self.send(self.about(path, id), read).await;
        let gone = said.as_ref().is_err_and(|error| error.is(code::VOLTAGE_NOT_FOUND));
        if gone && self.nodes().await?.may_hold(id) {
            let trouble = Trouble::unexpected(Provider::Voltage, "said to be gone, and stands in the list");
            return Err(trouble.into_error(Provider::Voltage, Repeat::Safe, &[]));
        }
        said
    }

    async fn send<T>(
        &self,
        call: Call,
        read: impl Fn(&Answer) -> Result<T, Trouble>,
    ) -> Result<T, UpstreamError> {
        self.keyed.send(call, |answer| read(answer::success(answer)?)).await
    }
}
