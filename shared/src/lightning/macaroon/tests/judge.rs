//! What may be kept.

use super::{
    super::{HOW_TO_BAKE, Verdict},
    INVOICES, an_op, judged,
};

#[test]
fn a_narrow_macaroon_is_narrow() {
    assert_eq!(judged(INVOICES), Verdict::Narrow);
    assert_eq!(judged(&[("invoices", &["write"])]), Verdict::Narrow);
    let uris: &[&str] = &[
        "/lnrpc.Lightning/GetInfo",
        "/lnrpc.Lightning/AddInvoice",
        "/lnrpc.Lightning/LookupInvoice",
        "/invoicesrpc.Invoices/CancelInvoice",
    ];
    assert_eq!(judged(&[("uri", uris)]), Verdict::Narrow);
}

#[test]
fn what_we_tell_people_to_bake_is_accepted() {
    let permissions: Vec<&str> = HOW_TO_BAKE
        .split_once("lncli bakemacaroon ")
        .unwrap()
        .1
        .split(' ')
        .map(|permission| permission.strip_prefix("uri:").unwrap())
        .collect();
    assert_eq!(permissions.len(), 4);
    assert_eq!(judged(&[("uri", &permissions)]), Verdict::Narrow);
}

#[test]
fn every_other_operation_is_too_wide_and_named() {
    for (entity, action) in [
        ("info", "write"),
        ("onchain", "read"),
        ("onchain", "write"),
        ("offchain", "read"),
        ("offchain", "write"),
        ("address", "read"),
        ("address", "write"),
        ("peers", "write"),
        ("message", "read"),
        ("macaroon", "read"),
        ("macaroon", "write"),
        ("remotesigner", "generate"),
        ("invoices", "delete"),
        ("invoices", ""),
        ("", "read"),
        ("Info", "read"),
        ("info", "READ"),
        ("info", "read "),
        ("*", "*"),
        ("uri", "*"),
        ("uri", ""),
        ("uri", "/lnrpc.Lightning/SendPaymentSync"),
        ("uri", "/lnrpc.Lightning/GetInfo/"),
        ("uri", "lnrpc.Lightning/GetInfo"),
        ("uri", "/lnrpc.lightning/getinfo"),
        ("uri", "/invoicesrpc.Invoices/SettleInvoice"),
        ("uri", "/invoicesrpc.Invoices/GetInfo"),
        ("uri", "/lnrpc.Lightning/VerifyMessage"),
        ("/lnrpc.Lightning/GetInfo", "uri"),
    ] {
        let verdict = judged(&[("info", &["read"]), (entity, &[action])]);
        assert_eq!(verdict, Verdict::TooWide(vec![an_op(entity, action)]), "{entity}:{action}");
    }
}

#[test]
fn stock_invoice_and_readonly_macaroons_are_too_wide() {
    let invoice: &[(&str, &[&str])] =
        &[("address", &["read", "write"]), ("invoices", &["read", "write"]), ("onchain", &["read"])];
    let wide = vec![an_op("address", "read"), an_op("address", "write"), an_op("onchain", "read")];
    assert_eq!(judged(invoice), Verdict::TooWide(wide));
    let readonly: Vec<(&str, &[&str])> =
        ["address", "info", "invoices", "macaroon", "message", "offchain", "onchain", "peers"]
            .map(|entity| (entity, ["read"].as_slice()))
            .to_vec();
    assert!(matches!(judged(&readonly), Verdict::TooWide(ops) if ops.len() == 6));
}

#[test]
fn whatever_can_sign_is_refused_however_it_is_hidden() {
    for (entity, action) in [
        ("message", "write"),
        ("macaroon", "generate"),
        ("signer", "generate"),
        ("signer", "read"),
        ("signer", "anything"),
        ("supermacaroon", "write"),
        ("sessions", "write"),
        ("uri", "/lnrpc.Lightning/SignMessage"),
        ("uri", "/lnrpc.Lightning/BakeMacaroon"),
        ("uri", "/signrpc.Signer/SignMessage"),
        ("uri", "/signrpc.Signer/SignOutputRaw"),
        ("uri", "/signrpc.Signer/DeriveSharedKey"),
        ("uri", "/walletrpc.WalletKit/SignMessageWithAddr"),
        ("uri", "/litrpc.Proxy/BakeSuperMacaroon"),
        ("uri", "/litrpc.Sessions/AddSession"),
    ] {
        assert_eq!(judged(&[(entity, &[action])]), Verdict::CanSign, "{entity}:{action}");
        // Last of many actions, last of many operations, beside what is too wide.
        let hidden: &[(&str, &[&str])] =
            &[("info", &["read"]), ("onchain", &["write"]), (entity, &["read", action]), ("info", &["read"])];
        assert_eq!(judged(hidden), Verdict::CanSign, "{entity}:{action}");
    }
}
