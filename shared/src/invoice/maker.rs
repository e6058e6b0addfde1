use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::row::{Claimed, Invoice};
use crate::breaker::Breaker;
use crate::btcpay::{Btcpay, BtcpayInvoice, InvoiceId, NewInvoice, StoreId};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Db;
use crate::lightning::bolt11::{Bolt11Error, Expected};
use crate::lightning::{Bolt11, Network};
use crate::upstream::{Provider, Upstream, UpstreamError};

/// All calls together: the rest of a request's time, and of its lease, is for writing down what came of them.
const TIME_FOR_CALLS: Duration = Duration::from_secs(20);
/// How far BTCPay's clock and its node's may be ahead of ours.
const CLOCKS_DIFFER_BY: Duration = Duration::from_mins(1);

/// Makes invoices at BTCPay.
pub struct Maker {
    btcpay: Option<Btcpay>,
    breaker: Breaker,
    network: Network,
    clock: Clock,
}

/// What BTCPay made, checked.
#[derive(Debug)]
pub struct Made {
    pub btcpay_id: InvoiceId,
    pub invoice: Invoice,
}

/// Why there is no invoice to show.
#[derive(Debug)]
pub enum MakeError {
    /// The store is there, and the way to its server is switched off by configuration.
    NotConfigured,
    Upstream(UpstreamError),
    /// BTCPay answered with something else than was asked for.
    Mistaken(Mistake),
}

/// What is wrong with an invoice that BTCPay showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    Bolt11(Bolt11Error),
    /// It could be paid for longer than was asked for.
    LivesTooLong,
    /// Its payment hash, or BTCPay's id of it, is on record as another's.
    NotItsOwn,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bolt11(error) => error.fmt(f),
            Self::LivesTooLong => f.write_str("the invoice expires later than was asked for"),
            Self::NotItsOwn => f.write_str("the invoice is on record as another's"),
        }
    }
}

impl std::error::Error for Mistake {}

impl From<UpstreamError> for MakeError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<Bolt11Error> for MakeError {
    fn from(error: Bolt11Error) -> Self {
        Self::Mistaken(Mistake::Bolt11(error))
    }
}

impl Maker {
    /// Wires the way to BTCPay, the [`Breaker`] and `LIGHTNING_NETWORK`.
    pub fn wire(config: &mut Config, db: &Db) -> Self {
        let network = config.choice("LIGHTNING_NETWORK", &Network::ALL.map(Network::name));
        let upstream = Upstream::wire(config);
        Self {
            btcpay: Btcpay::wire(config, &upstream),
            breaker: Breaker::wire(config, db),
            network: network.parse().unwrap_or(Network::Mainnet),
            clock: config.clock(),
        }
    }

    /// Asks BTCPay for the invoice, or for the one an earlier request got no answer about, and believes nothing of it
    /// unchecked. No connection to the database is held meanwhile.
    pub async fn make(&self, claimed: &Claimed) -> Result<Made, MakeError> {
        let btcpay = self.btcpay.as_ref().ok_or(MakeError::NotConfigured)?;
        let btcpay = btcpay.until(Instant::now() + TIME_FOR_CALLS);
        let store = claimed.store.parse::<StoreId>().map_err(|_| MakeError::NotConfigured)?;
        let known = if claimed.earlier { self.find(&btcpay, &store, claimed).await? } else { None };
        let btcpay_id = match known {
            Some(id) => id,
            None => self.create(&btcpay, &store, claimed).await?,
        };
        let bolt11 = self.breaker.call(Provider::Btcpay, btcpay.bolt11(&store, &btcpay_id)).await?;
        Ok(Made { invoice: self.check(claimed, bolt11)?, btcpay_id })
    }

    /// Two stand there when an answer came so late that nobody waited for it: the first is the one.
    async fn find(
        &self,
        btcpay: &Btcpay,
        store: &StoreId,
        claimed: &Claimed,
    ) -> Result<Option<InvoiceId>, MakeError> {
        let found = self.breaker.call(Provider::Btcpay, btcpay.find_invoices(store, claimed.id)).await?;
        let first = |a: &BtcpayInvoice, b: &BtcpayInvoice| (a.created_at, &a.id).cmp(&(b.created_at, &b.id));
        Ok(found.into_iter().min_by(first).map(|invoice| invoice.id))
    }

    async fn create(
        &self,
        btcpay: &Btcpay,
        store: &StoreId,
        claimed: &Claimed,
    ) -> Result<InvoiceId, MakeError> {
        let new = NewInvoice {
            order_id: claimed.id,
            amount_msat: claimed.order.amount_msat,
            description: &claimed.order.memo,
            expiry_minutes: claimed.order.expiry_minutes,
        };
        let made = self.breaker.call(Provider::Btcpay, btcpay.create_invoice(store, &new)).await?;
        if made.order_id == Some(claimed.id.to_string()) {
            Ok(made.id)
        } else {
            Err(UpstreamError::mistaken_answer(Provider::Btcpay).into())
        }
    }

    fn check(&self, claimed: &Claimed, text: String) -> Result<Invoice, MakeError> {
        let bolt11 = Bolt11::parse(&text)?;
        let now = self.clock.now();
        let expected = Expected {
            network: self.network,
            amount_msat: claimed.order.amount_msat,
            payment_hash: None,
            payee: None,
            now,
        };
        bolt11.check(&expected)?;
        let asked = Duration::from_secs(claimed.order.expiry_seconds().into());
        if bolt11.expires_at > now + asked + CLOCKS_DIFFER_BY {
            return Err(MakeError::Mistaken(Mistake::LivesTooLong));
        }
        Ok(Invoice {
            id: claimed.id,
            bolt11: text,
            payment_hash: bolt11.payment_hash,
            amount_msat: claimed.order.amount_msat,
            expires_at: bolt11.expires_at,
        })
    }
}
