//! BOLT11 invoices, read and compared with what was asked for.
//!
//! Whoever hands an invoice on vouches for it: a provider that answers with another network's, another amount's or
//! somebody else's is found out by [`Bolt11::check`] before anybody is asked to pay.

use std::{fmt, str::FromStr};

use lightning_invoice::{
    Bolt11Invoice, Bolt11InvoiceDescriptionRef, Bolt11ParseError, Bolt11SemanticError, Currency, MAX_LENGTH,
    SignedRawBolt11Invoice,
};
use time::{Duration, OffsetDateTime};

use super::pubkey::Pubkey;

/// The chain a node or an invoice belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    Mainnet,
    Testnet,
    Signet,
    Regtest,
}

impl Network {
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Testnet, Self::Signet, Self::Regtest];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// How this network's invoices begin.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Mainnet => "lnbc",
            Self::Testnet => "lntb",
            Self::Signet => "lntbs",
            Self::Regtest => "lnbcrt",
        }
    }
}

impl FromStr for Network {
    type Err = ();

    /// By [`Network::name`].
    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|network| network.name() == name).ok_or(())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an invoice is for: a text, or the hash of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Description {
    Text(String),
    Hash([u8; 32]),
}

/// An invoice whose checksum and signature are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bolt11 {
    pub network: Network,
    /// `None`: the payer chooses.
    pub amount_msat: Option<u64>,
    pub payment_hash: [u8; 32],
    pub description: Description,
    /// The node that signed it.
    pub payee: Pubkey,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// What an invoice must be to be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    pub network: Network,
    pub amount_msat: u64,
    /// When it is known beforehand.
    pub payment_hash: Option<[u8; 32]>,
    /// When the node is known whose invoice it must be.
    pub payee: Option<Pubkey>,
    pub now: OffsetDateTime,
}

/// Says nothing of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bolt11Error {
    TooLong,
    NotBech32,
    /// Not a network that is known here.
    UnknownNetwork,
    BadAmount,
    /// A field is missing, twice there, cut, or asks for what nobody knows.
    Malformed,
    BadSignature,
    WrongNetwork,
    WrongAmount,
    WrongPaymentHash,
    WrongPayee,
    Expired,
}

impl Bolt11 {
    /// Reads an invoice in lower or upper case (as QR codes have it), and checks its signature.
    pub fn parse(text: &str) -> Result<Self, Bolt11Error> {
        if text.len() > MAX_LENGTH {
            return Err(Bolt11Error::TooLong);
        }
        let signed: SignedRawBolt11Invoice = text.parse().map_err(|error| from_parse(&error))?;
        let says_amount = signed.raw_invoice().hrp.raw_amount.is_some();
        let invoice = Bolt11Invoice::from_signed(signed).map_err(|error| from_semantics(&error))?;
        let amount_msat = invoice.amount_milli_satoshis();
        if says_amount && amount_msat.is_none() {
            // More than fits; it must not pass for an invoice that leaves the amount open.
            return Err(Bolt11Error::BadAmount);
        }
        let created_at = at(invoice.duration_since_epoch())?;
        Ok(Self {
            network: network(&invoice.currency())?,
            amount_msat,
            payment_hash: *invoice.payment_hash().as_ref(),
            description: match invoice.description() {
                Bolt11InvoiceDescriptionRef::Direct(text) => Description::Text(text.to_string()),
                Bolt11InvoiceDescriptionRef::Hash(hash) => Description::Hash(*hash.0.as_ref()),
            },
            payee: Pubkey::from_secp(invoice.get_payee_pub_key()),
            created_at,
            expires_at: at(invoice.expires_at().ok_or(Bolt11Error::Malformed)?)?,
        })
    }

    /// Whether this is the invoice that was asked for, and can still be paid.
    pub fn check(&self, expected: &Expected) -> Result<(), Bolt11Error> {
        if self.network != expected.network {
            return Err(Bolt11Error::WrongNetwork);
        }
        if self.amount_msat != Some(expected.amount_msat) {
            return Err(Bolt11Error::WrongAmount);
        }
        if expected.payment_hash.is_some_and(|hash| hash != self.payment_hash) {
            return Err(Bolt11Error::WrongPaymentHash);
        }
        if expected.payee.is_some_and(|payee| payee != self.payee) {
            return Err(Bolt11Error::WrongPayee);
        }
        if self.expires_at <= expected.now {
            return Err(Bolt11Error::Expired);
        }
        Ok(())
    }
}

fn network(currency: &Currency) -> Result<Network, Bolt11Error> {
    match currency {
        Currency::Bitcoin => Ok(Network::Mainnet),
        Currency::BitcoinTestnet => Ok(Network::Testnet),
        Currency::Signet => Ok(Network::Signet),
        Currency::Regtest => Ok(Network::Regtest),
        Currency::Simnet => Err(Bolt11Error::UnknownNetwork),
    }
}

fn at(since_epoch: std::time::Duration) -> Result<OffsetDateTime, Bolt11Error> {
    let since_epoch = Duration::try_from(since_epoch).map_err(|_| Bolt11Error::Malformed)?;
    OffsetDateTime::UNIX_EPOCH.checked_add(since_epoch).ok_or(Bolt11Error::Malformed)
}

fn from_parse(error: &Bolt11ParseError) -> Bolt11Error {
    match error {
        Bolt11ParseError::Bech32Error(_) => Bolt11Error::NotBech32,
        Bolt11ParseError::BadPrefix | Bolt11ParseError::UnknownCurrency => Bolt11Error::UnknownNetwork,
        Bolt11ParseError::ParseAmountError(_)
        | Bolt11ParseError::UnknownSiPrefix
        | Bolt11ParseError::IntegerOverflowError => Bolt11Error::BadAmount,
        Bolt11ParseError::MalformedSignature(_) => Bolt11Error::BadSignature,
        Bolt11ParseError::MalformedHRP
        | Bolt11ParseError::TooShortDataPart
        | Bolt11ParseError::UnexpectedEndOfTaggedFields
        | Bolt11ParseError::DescriptionDecodeError(_)
        | Bolt11ParseError::PaddingError
        | Bolt11ParseError::InvalidSegWitProgramLength
        | Bolt11ParseError::InvalidPubKeyHashLength
        | Bolt11ParseError::InvalidScriptHashLength
        | Bolt11ParseError::InvalidSliceLength(..)
        | Bolt11ParseError::Skip => Bolt11Error::Malformed,
    }
}

fn from_semantics(error: &Bolt11SemanticError) -> Bolt11Error {
    match error {
        Bolt11SemanticError::InvalidSignature => Bolt11Error::BadSignature,
        Bolt11SemanticError::ImpreciseAmount => Bolt11Error::BadAmount,
        Bolt11SemanticError::NoPaymentHash
        | Bolt11SemanticError::MultiplePaymentHashes
        | Bolt11SemanticError::NoDescription
        | Bolt11SemanticError::MultipleDescriptions
        | Bolt11SemanticError::NoPaymentSecret
        | Bolt11SemanticError::MultiplePaymentSecrets
        | Bolt11SemanticError::InvalidFeatures => Bolt11Error::Malformed,
    }
}

impl fmt::Display for Bolt11Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "an invoice has at most 7089 characters",
            Self::NotBech32 => "the invoice is mistyped: its checksum is wrong",
            Self::UnknownNetwork => "the invoice is of no known network",
            Self::BadAmount => "the invoice's amount is no amount",
            Self::Malformed => "the invoice is not laid out as BOLT11 says",
            Self::BadSignature => "the invoice's signature is wrong",
            Self::WrongNetwork => "the invoice is of another network",
            Self::WrongAmount => "the invoice is for another amount",
            Self::WrongPaymentHash => "the invoice has another payment hash",
            Self::WrongPayee => "the invoice is another node's",
            Self::Expired => "the invoice has expired",
        })
    }
}

impl std::error::Error for Bolt11Error {}

#[cfg(test)]
mod tests;
