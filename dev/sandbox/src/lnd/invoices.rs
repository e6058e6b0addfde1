//! Invoices with real BOLT11, as the node keeps them.
//!
//! What another service of the sandbox may ask of a node, in the same process ([`in_process`](super::in_process)):
//! `node` is the first segment of the node's path, its name or its endpoint; `macaroon` is hex, and is checked as
//! for a request.
//!
//! ```text
//! node_at(world, "http://127.0.0.1:PORT/node12/")            -> Option<Location { node, https }>
//! get_info(world, node, macaroon)                            -> Result<NodeInfo, LndError>
//! add_invoice(world, node, macaroon, NewInvoice)             -> Result<Invoice, LndError>
//! lookup_invoice(world, node, macaroon, &payment_hash)       -> Result<Invoice, LndError>
//! cancel_invoice(world, node, macaroon, &payment_hash)       -> Result<(), LndError>
//! settle_invoice(world, node, &payment_hash)                 -> Result<Invoice, LndError>   (somebody paid)
//! ```

use std::{collections::HashMap, time::Duration};

use anyhow::Error;
use aws_lc_rs::digest::{SHA256, digest};
use lightning_invoice::{InvoiceBuilder, PaymentSecret};
use secp256k1::{SECP256K1, SecretKey};

use super::{
    errors::{Code, LndError},
    network::Network,
};
use crate::{
    clock,
    seed::{Seed, hmac_sha256},
};

pub(crate) const DEFAULT_EXPIRY_SECONDS: u64 = 86_400;
const MAX_EXPIRY_SECONDS: u64 = 31_536_000;
const MAX_MEMO_BYTES: usize = 639;
const DEFAULT_CLTV_EXPIRY: u64 = 80;

#[derive(Debug, Clone, Default)]
pub(crate) struct NewInvoice {
    /// 0 leaves the amount to the payer.
    pub(crate) amount_msat: u64,
    pub(crate) memo: String,
    /// Stands in the payment request instead of the memo.
    pub(crate) description_hash: Option<[u8; 32]>,
    /// 0 is LND's default, a day.
    pub(crate) expiry_seconds: u64,
    pub(crate) preimage: Option<[u8; 32]>,
    /// 0 is LND's default.
    pub(crate) cltv_expiry: u64,
    pub(crate) private: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvoiceState {
    Open,
    Settled,
    Canceled,
}

#[derive(Debug, Clone)]
pub(crate) struct Invoice {
    pub(crate) payment_hash: [u8; 32],
    pub(crate) preimage: [u8; 32],
    pub(crate) payment_secret: [u8; 32],
    pub(crate) bolt11: String,
    pub(crate) new: NewInvoice,
    pub(crate) created: u64,
    /// 0 while it is not paid.
    pub(crate) settled: u64,
    pub(crate) state: InvoiceState,
    /// From 1, in the order of making.
    pub(crate) add_index: u64,
    /// From 1, in the order of paying; 0 while it is not paid.
    pub(crate) settle_index: u64,
}

impl Invoice {
    pub(crate) fn expires(&self) -> u64 {
        self.created + self.new.expiry_seconds
    }

    /// LND cancels what has expired by itself.
    fn aged(mut self, now: u64) -> Self {
        if self.state == InvoiceState::Open && now >= self.expires() {
            self.state = InvoiceState::Canceled;
        }
        self
    }
}

/// Who signs, for which network, and where the secrets come from.
pub(crate) struct Issuer<'a> {
    pub(crate) secret_key: SecretKey,
    pub(crate) network: Network,
    pub(crate) label: &'a str,
    pub(crate) seed: Seed,
}

#[derive(Default)]
pub(crate) struct Invoices {
    list: Vec<Invoice>,
    by_hash: HashMap<[u8; 32], usize>,
    settled: u64,
}

impl Invoices {
    pub(crate) fn add(&mut self, issuer: &Issuer<'_>, mut new: NewInvoice) -> Result<Invoice, LndError> {
        check(&new)?;
        let add_index = self.list.len() as u64 + 1;
        let draw = |what: &str| {
            let key = issuer.seed.bytes("invoices");
            hmac_sha256(&key, format!("{what} {} {add_index}", issuer.label).as_bytes())
        };
        let preimage = new.preimage.unwrap_or_else(|| draw("preimage"));
        let payment_hash = sha256(&preimage);
        if self.by_hash.contains_key(&payment_hash) {
            return Err(LndError::unknown("invoice with payment hash already exists"));
        }
        if new.expiry_seconds == 0 {
            new.expiry_seconds = DEFAULT_EXPIRY_SECONDS;
        }
        if new.cltv_expiry == 0 {
            new.cltv_expiry = DEFAULT_CLTV_EXPIRY;
        }
        let (created, payment_secret) = (now(), draw("payment secret"));
        let bolt11 = bolt11(issuer, &new, &payment_hash, payment_secret, created)
            .map_err(|why| LndError::unknown(format!("cannot encode the payment request: {why}")))?;
        let invoice = Invoice {
            payment_hash,
            preimage,
            payment_secret,
            bolt11,
            new,
            created,
            settled: 0,
            state: InvoiceState::Open,
            add_index,
            settle_index: 0,
        };
        self.by_hash.insert(payment_hash, self.list.len());
        self.list.push(invoice.clone());
        Ok(invoice)
    }

    pub(crate) fn get(&self, payment_hash: &[u8; 32]) -> Result<Invoice, LndError> {
        let found = self.by_hash.get(payment_hash).and_then(|at| self.list.get(*at));
        found.map(|invoice| invoice.clone().aged(now())).ok_or_else(unknown_invoice)
    }

    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = Invoice> {
        let now = now();
        self.list.iter().map(move |invoice| invoice.clone().aged(now))
    }

    /// Canceling twice is no error, as in LND.
    pub(crate) fn cancel(&mut self, payment_hash: &[u8; 32]) -> Result<(), LndError> {
        let invoice = self.stored(payment_hash)?;
        if invoice.state == InvoiceState::Settled {
            return Err(LndError::unknown("invoice already settled"));
        }
        invoice.state = InvoiceState::Canceled;
        Ok(())
    }

    /// Somebody paid it in full. Paying twice changes nothing.
    pub(crate) fn settle(&mut self, payment_hash: &[u8; 32]) -> Result<Invoice, LndError> {
        let (now, settle_index) = (now(), self.settled + 1);
        let invoice = self.stored(payment_hash)?;
        match invoice.clone().aged(now).state {
            InvoiceState::Settled => return Ok(invoice.clone()),
            InvoiceState::Canceled => return Err(LndError::unknown("invoice already canceled")),
            InvoiceState::Open => {}
        }
        invoice.state = InvoiceState::Settled;
        invoice.settled = now;
        invoice.settle_index = settle_index;
        let invoice = invoice.clone();
        self.settled = settle_index;
        Ok(invoice)
    }

    fn stored(&mut self, payment_hash: &[u8; 32]) -> Result<&mut Invoice, LndError> {
        let at = self.by_hash.get(payment_hash).copied();
        at.and_then(|at| self.list.get_mut(at)).ok_or_else(unknown_invoice)
    }
}

fn unknown_invoice() -> LndError {
    LndError { code: Code::NotFound, message: "unable to locate invoice".into() }
}

fn check(new: &NewInvoice) -> Result<(), LndError> {
    let wrong = if new.memo.len() > MAX_MEMO_BYTES {
        format!("memo too large: {} bytes (maxsize={MAX_MEMO_BYTES})", new.memo.len())
    } else if new.expiry_seconds > MAX_EXPIRY_SECONDS {
        let max = MAX_EXPIRY_SECONDS;
        format!("expiry of {} seconds greater than max expiry of {max} seconds", new.expiry_seconds)
    } else {
        return Ok(());
    };
    Err(LndError::unknown(wrong))
}

fn bolt11(
    issuer: &Issuer<'_>,
    new: &NewInvoice,
    payment_hash: &[u8; 32],
    payment_secret: [u8; 32],
    created: u64,
) -> anyhow::Result<String> {
    // The crate's hash type has no name here, and reads hex.
    let hash = |bytes: &[u8; 32]| data_encoding::HEXLOWER.encode(bytes);
    let builder = InvoiceBuilder::new(issuer.network.currency());
    let builder = match &new.description_hash {
        Some(description) => builder.description_hash(hash(description).parse().map_err(Error::msg)?),
        None => builder.description(new.memo.clone()),
    };
    let builder = builder
        .payment_hash(hash(payment_hash).parse().map_err(Error::msg)?)
        .payment_secret(PaymentSecret(payment_secret))
        .basic_mpp()
        .duration_since_epoch(Duration::from_secs(created))
        .expiry_time(Duration::from_secs(new.expiry_seconds))
        .min_final_cltv_expiry_delta(new.cltv_expiry);
    let builder = match new.amount_msat {
        0 => builder,
        amount => builder.amount_milli_satoshis(amount),
    };
    let signed =
        builder.build_signed(|digest| SECP256K1.sign_ecdsa_recoverable(digest, &issuer.secret_key))?;
    Ok(signed.to_string())
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn now() -> u64 {
    u64::try_from(clock::now().unix_timestamp()).unwrap_or_default()
}
