use http::Method;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Btcpay, StoreId};
use crate::lightning::Macaroon;
use crate::upstream::{
    Answer, BaseUrl, Common, List, MAX_LIST, Provider, Repeat, Trouble, UpstreamError, code,
};

/// Of the many things a store has, those we set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Store {
    pub id: StoreId,
    #[serde(default, deserialize_with = "or_empty")]
    pub name: String,
    #[serde(default, deserialize_with = "or_none")]
    pub website: Option<String>,
}

/// Nothing but a text is one we set.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(or_none(deserializer)?.unwrap_or_default())
}

/// The node a store is paid through, and how BTCPay gets in.
#[derive(Debug, Clone, Copy)]
pub struct LightningNode<'a> {
    /// LND's REST interface.
    pub url: &'a str,
    pub macaroon: &'a Macaroon,
    /// For a node that signs its own certificate.
    pub certificate_sha256: Option<[u8; 32]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewStore<'a> {
    name: &'a str,
    website: &'a str,
    default_currency: &'static str,
    lightning_description_template: &'static str,
}

#[derive(Serialize)]
struct PaymentMethod<'a> {
    enabled: bool,
    config: PaymentMethodConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentMethodConfig<'a> {
    connection_string: &'a str,
}

#[derive(Deserialize)]
struct PaymentMethodState {
    enabled: bool,
}

impl Btcpay {
    /// Every store the key may see; BTCPay has no pages and no filter. A store with an id that is none is left out,
    /// unless it may carry our mark: one overlooked would be made again.
    pub async fn list_stores(&self) -> Result<Vec<Store>, UpstreamError> {
        let call = self.call(Repeat::Safe, Method::GET, "/stores").limit(MAX_LIST);
        self.send(call, |answer| {
            let list = List::<Store>::read(answer, &answer.borrowed::<Vec<_>>()?)?;
            if list.odd("website").flatten().any(|website| website.contains('#')) {
                return Err(answer.unexpected("a store that may be ours cannot be read"));
            }
            Ok(list.entries)
        })
        .await
    }

    /// `website` is where we put our mark, behind a `#`: names need not be unique.
    pub async fn create_store(&self, name: &str, website: &str) -> Result<Store, UpstreamError> {
        let store = NewStore {
            name,
            website,
            default_currency: "BTC",
            // What the payer reads is the invoice's own text; by default it is the store's name and our order id.
            lightning_description_template: "{ItemDescription}",
        };
        let call = self.call(Repeat::Unsafe, Method::POST, "/stores").json(&store);
        self.send(call, Answer::json).await
    }

    /// A store that is not there is deleted.
    pub async fn delete_store(&self, id: &StoreId) -> Result<(), UpstreamError> {
        let call = self.call(Repeat::Safe, Method::DELETE, &format!("/stores/{id}"));
        match self.send(call, |_| Ok(())).await {
            Err(error) if error.is(code::BTCPAY_NOT_FOUND) => Ok(()),
            // Of a store that is gone BTCPay says that the key has no rights to it.
            Err(error) if error.is(code::BTCPAY_KEY_REFUSED) => {
                let stores = self.list_stores().await?;
                if stores.iter().any(|store| store.id == *id) { Err(error) } else { Ok(()) }
            }
            other => other,
        }
    }

    /// Sets the node the store's `BTC-LN` payments go to; doing so again changes nothing.
    pub async fn connect_lightning(
        &self,
        store: &StoreId,
        node: &LightningNode<'_>,
    ) -> Result<(), UpstreamError> {
        let macaroon = node.macaroon.to_hex();
        let connection_string = self.connection_string(node, &macaroon)?;
        let config = PaymentMethodConfig { connection_string: &connection_string };
        let path = format!("/stores/{store}/payment-methods/BTC-LN");
        let call = self.call(Repeat::Safe, Method::PUT, &path);
        let call = call.json(&PaymentMethod { enabled: true, config }).secret(&macaroon);
        self.send(call, |answer| {
            let state: PaymentMethodState = answer.json()?;
            if state.enabled { Ok(()) } else { Err(answer.unexpected("the payment method is not enabled")) }
        })
        .await
    }

    /// `type=lnd-rest;…` as BTCPayServer.Lightning reads it.
    fn connection_string(
        &self,
        node: &LightningNode<'_>,
        macaroon: &str,
    ) -> Result<Zeroizing<String>, UpstreamError> {
        let refused = |why: &str| {
            let code = Provider::Btcpay.code(Common::Rejected);
            Trouble::refused(code, format!("the node's URL {why}")).into_error(
                Provider::Btcpay,
                Repeat::Safe,
                &[],
            )
        };
        let server = BaseUrl::parse(node.url, self.scheme).map_err(refused)?.with("/");
        if server.contains(';') {
            return Err(refused("holds a semicolon"));
        }
        let insecure = if server.starts_with("http://") { ";allowinsecure=true" } else { "" };
        let thumbprint = node.certificate_sha256.map(|pin| data_encoding::HEXUPPER.encode(&pin));
        let thumbprint = thumbprint.map_or_else(String::new, |hex| format!(";certthumbprint={hex}"));
        let string = format!("type=lnd-rest;server={server};macaroon={macaroon}{thumbprint}{insecure}");
        Ok(Zeroizing::new(string))
    }
}
