//! LND's REST interface: a wallet for a node that has none, and macaroons.

mod answer;
mod wallet;

use http::Method;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use wallet::{NotASeed, SEED_WORDS, Seed, WalletKeys, WalletState};

use crate::lightning::{Macaroon, Network, Op, Pubkey};
use crate::upstream::{
    Answer, BaseUrl, Call, Circuit, Pins, Provider, Repeat, Transport, Trouble, Upstream, UpstreamError,
    code, no_tls,
};

/// The header LND looks for a macaroon in, in hex.
const MACAROON: &str = "grpc-metadata-macaroon";

/// One node.
#[derive(Clone)]
pub struct Lnd {
    base: BaseUrl,
    upstream: Upstream,
    transport: Transport,
}

/// Who a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeInfo {
    pub pubkey: Pubkey,
    /// `None`: a chain that no invoice is for.
    pub network: Option<Network>,
}

#[derive(Deserialize)]
struct Info {
    identity_pubkey: Pubkey,
    #[serde(default)]
    chains: Vec<Chain>,
}

#[derive(Deserialize)]
struct Chain {
    network: String,
}

#[derive(Serialize)]
struct BakeRequest<'a> {
    permissions: Vec<Permission<'a>>,
    root_key_id: String,
}

#[derive(Serialize)]
struct Permission<'a> {
    entity: &'a str,
    action: &'a str,
}

#[derive(Deserialize)]
struct Baked {
    macaroon: String,
}

#[derive(Deserialize)]
struct RootKeyIds {
    /// Numbers of 64 bits, which LND writes as text.
    root_key_ids: Vec<String>,
}

impl Lnd {
    /// The node whose REST interface is at `base_url` and who shows one of `pins`.
    pub fn at(upstream: &Upstream, base_url: &str, pins: &Pins) -> Result<Self, UpstreamError> {
        let base = BaseUrl::parse(base_url, upstream.scheme()).map_err(|why| {
            let refused = Trouble::refused(code::LND_URL_REFUSED, format!("the node's URL {why}"));
            refused.into_error(Provider::Lnd, Repeat::Safe, &[])
        })?;
        let transport = upstream.transport(pins).map_err(|error| no_tls(Provider::Lnd, &error))?;
        Ok(Self { base, upstream: upstream.clone(), transport })
    }

    /// Each node's host fails for itself, and must not stop the calls to others.
    pub fn circuit(&self) -> Circuit {
        Circuit::of_host(Provider::Lnd, self.base.host())
    }

    /// The same node, whose calls end by `deadline`.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { upstream: self.upstream.until(deadline), ..self.clone() }
    }

    /// Who the node is. Only a macaroon of its own root key gets an answer.
    pub async fn info(&self, macaroon: &Macaroon) -> Result<NodeInfo, UpstreamError> {
        let call = self.call(Method::GET, "/v1/getinfo");
        let info: Info = self.send(with(call, macaroon), Answer::json).await?;
        let network = info.chains.first().and_then(|chain| network(&chain.network));
        Ok(NodeInfo { pubkey: info.identity_pubkey, network })
    }

    /// A macaroon that allows `ops`, under a root key of its own so that it can be revoked. Baking it again makes
    /// another of the same worth.
    pub async fn bake(
        &self,
        admin: &Macaroon,
        ops: &[Op],
        root_key_id: u64,
    ) -> Result<Macaroon, UpstreamError> {
        let permissions = ops.iter().map(|op| Permission { entity: &op.entity, action: &op.action });
        let request =
            BakeRequest { permissions: permissions.collect(), root_key_id: root_key_id.to_string() };
        let call = self.call(Method::POST, "/v1/macaroon").json(&request);
        self.send(with(call, admin), |answer| {
            let baked: Baked = answer.json()?;
            let macaroon = Macaroon::parse(&baked.macaroon)
                .map_err(|error| answer.unexpected(format!("no macaroon: {error}")))?;
            let as_asked =
                macaroon.ops().len() == ops.len() && ops.iter().all(|op| macaroon.ops().contains(op));
            if as_asked { Ok(macaroon) } else { Err(answer.unexpected("a macaroon for something else")) }
        })
        .await
    }

    /// The root keys there are macaroons of.
    pub async fn root_key_ids(&self, admin: &Macaroon) -> Result<Vec<u64>, UpstreamError> {
        let call = self.call(Method::GET, "/v1/macaroon/ids");
        self.send(with(call, admin), |answer| {
            let ids = answer.json::<RootKeyIds>()?.root_key_ids;
            let number = |id: &String| id.parse().map_err(|_| answer.unexpected("an id that is no number"));
            ids.iter().map(number).collect()
        })
        .await
    }

    /// Ends every macaroon of a root key. One that is not there has none.
    pub async fn revoke(&self, admin: &Macaroon, root_key_id: u64) -> Result<(), UpstreamError> {
        let call = self.call(Method::DELETE, &format!("/v1/macaroon/{root_key_id}"));
        self.send(with(call, admin), |_| Ok(())).await
    }

    /// LND has nothing that does harm when it is done twice, as it is used here.
    fn call(&self, method: Method, path: &str) -> Call {
        Call::new(Provider::Lnd, Repeat::Safe, method, self.base.with(path))
    }

    async fn send<T>(
        &self,
        call: Call,
        read: impl Fn(&Answer) -> Result<T, Trouble>,
    ) -> Result<T, UpstreamError> {
        self.upstream.send(Some(&self.transport), &call, |answer| read(answer::success(answer)?)).await
    }
}

fn with(call: Call, macaroon: &Macaroon) -> Call {
    let hex = macaroon.to_hex();
    call.credential(MACAROON, &hex, &hex)
}

/// By LND's names; `testnet4` has testnet's invoices.
fn network(name: &str) -> Option<Network> {
    if name == "testnet4" { Some(Network::Testnet) } else { name.parse().ok() }
}
