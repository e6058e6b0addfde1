//! Invoices made here, for what the specification has no example of.

use std::time::Duration as Span;

use lightning_invoice::{
    Currency, InvoiceBuilder, PaymentSecret, RawBolt11Invoice, SiPrefix, SignedRawBolt11Invoice,
};
use secp256k1::{SECP256K1, SecretKey};
use time::Duration;

use super::super::*;
use super::{COFFEE, CREATED, PAYEE, read};

fn raw(currency: Currency, amount_msat: u64, expiry_seconds: u64) -> RawBolt11Invoice {
    let example: SignedRawBolt11Invoice = COFFEE.parse().unwrap();
    InvoiceBuilder::new(currency)
        .description("a test".to_owned())
        .payment_hash(example.raw_invoice().payment_hash().unwrap().0)
        .payment_secret(PaymentSecret([1; 32]))
        .duration_since_epoch(Span::from_secs(u64::try_from(CREATED.unix_timestamp()).unwrap()))
        .expiry_time(Span::from_secs(expiry_seconds))
        .amount_milli_satoshis(amount_msat)
        .build_raw()
        .unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_slice(&[0x42; 32]).unwrap()
}

fn signed(raw: RawBolt11Invoice) -> SignedRawBolt11Invoice {
    raw.sign(|hash| Ok::<_, ()>(SECP256K1.sign_ecdsa_recoverable(hash, &key()))).unwrap()
}

fn invoice(currency: Currency, amount_msat: u64, expiry_seconds: u64) -> String {
    signed(raw(currency, amount_msat, expiry_seconds)).to_string()
}

#[test]
fn networks_are_told_apart_by_their_prefixes() {
    for (currency, network) in [
        (Currency::Bitcoin, Network::Mainnet),
        (Currency::BitcoinTestnet, Network::Testnet),
        (Currency::Signet, Network::Signet),
        (Currency::Regtest, Network::Regtest),
    ] {
        let text = invoice(currency, 1_000, 600);
        let (prefix, _) = text.split_once("10n1").unwrap();
        assert_eq!(prefix, network.prefix());
        assert_eq!(read(&text).network, network);
        assert_eq!(network.name().parse(), Ok(network));
    }
    assert_eq!(Bolt11::parse(&invoice(Currency::Simnet, 1_000, 600)), Err(Bolt11Error::UnknownNetwork));
    assert_eq!("Mainnet".parse::<Network>(), Err(()));
}

#[test]
fn every_amount_is_read_as_it_was_written() {
    for (amount_msat, begins) in [
        (1, "lnbcrt10p1"),
        (1_000, "lnbcrt10n1"),
        (123_456, "lnbcrt1234560p1"),
        (100_000, "lnbcrt1u1"),
        (100_000_000, "lnbcrt1m1"),
        (150_000_000_000, "lnbcrt1500m1"),
        (2_100_000_000_000_000_000 / 21, "lnbcrt"),
    ] {
        let text = invoice(Currency::Regtest, amount_msat, 600);
        assert!(text.starts_with(begins), "{text}");
        assert_eq!(read(&text).amount_msat, Some(amount_msat));
    }
}

#[test]
fn whole_bitcoins_are_read_and_more_than_there_can_be_is_not_taken_for_an_open_amount() {
    let of = |amount| {
        let mut raw = raw(Currency::Regtest, 1_000, 600);
        (raw.hrp.raw_amount, raw.hrp.si_prefix) = (Some(amount), None);
        Bolt11::parse(&signed(raw).to_string()).map(|invoice| invoice.amount_msat)
    };
    assert_eq!(of(2), Ok(Some(200_000_000_000)));
    assert_eq!(of(20_000_000), Err(Bolt11Error::BadAmount));
    assert_eq!(of(u64::MAX), Err(Bolt11Error::BadAmount));
    let mut raw = raw(Currency::Regtest, 1_000, 600);
    (raw.hrp.raw_amount, raw.hrp.si_prefix) = (Some(u64::MAX), Some(SiPrefix::Milli));
    assert_eq!(Bolt11::parse(&signed(raw).to_string()), Err(Bolt11Error::BadAmount));
}

#[test]
fn an_expiry_beyond_every_calendar_is_refused() {
    assert!(Bolt11::parse(&invoice(Currency::Regtest, 1_000, u64::MAX)).is_err());
}

#[test]
fn the_payee_is_who_signed() {
    let expected = Pubkey::from_secp(key().public_key(SECP256K1));
    assert_eq!(read(&invoice(Currency::Regtest, 1_000, 600)).payee, expected);
}

#[test]
fn an_invoice_that_names_one_node_and_is_signed_by_another_is_refused() {
    let mut named: RawBolt11Invoice = raw(Currency::Regtest, 1_000, 600);
    let other = SecretKey::from_slice(&[0x43; 32]).unwrap().public_key(SECP256K1);
    named
        .data
        .tagged_fields
        .push(lightning_invoice::TaggedField::PayeePubKey(lightning_invoice::PayeePubKey(other)).into());
    assert_eq!(Bolt11::parse(&signed(named).to_string()), Err(Bolt11Error::BadSignature));
}

#[test]
fn only_the_invoice_that_was_asked_for_is_handed_on() {
    let now = CREATED + Duration::seconds(59);
    let asked = Expected {
        network: Network::Mainnet,
        amount_msat: 250_000_000,
        payment_hash: None,
        payee: None,
        now,
    };
    let invoice = read(COFFEE);
    let known =
        Expected { payment_hash: Some(invoice.payment_hash), payee: Some(PAYEE.parse().unwrap()), ..asked };
    assert_eq!(invoice.check(&asked), Ok(()));
    assert_eq!(invoice.check(&known), Ok(()));

    let other = Pubkey::from_secp(key().public_key(SECP256K1));
    for (expected, error) in [
        (Expected { network: Network::Regtest, ..known }, Bolt11Error::WrongNetwork),
        (Expected { amount_msat: 250_000_001, ..known }, Bolt11Error::WrongAmount),
        (Expected { payment_hash: Some([7; 32]), ..known }, Bolt11Error::WrongPaymentHash),
        (Expected { payee: Some(other), ..known }, Bolt11Error::WrongPayee),
        (Expected { now: CREATED + Duration::minutes(1), ..known }, Bolt11Error::Expired),
    ] {
        assert_eq!(invoice.check(&expected), Err(error));
    }
}

#[test]
fn an_invoice_that_leaves_the_amount_open_is_not_the_one_asked_for() {
    let open = read(super::DONATION);
    let asked =
        Expected { network: Network::Mainnet, amount_msat: 0, payment_hash: None, payee: None, now: CREATED };
    assert_eq!(open.check(&asked), Err(Bolt11Error::WrongAmount));
}
