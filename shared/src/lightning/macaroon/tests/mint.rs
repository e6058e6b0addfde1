//! Minting, by what libmacaroons publishes and what LND 0.20 bakes.

use super::super::mint::sign;
use super::super::*;

#[test]
fn the_signature_is_the_one_libmacaroons_publishes() {
    let key = b"this is our super secret key; only we should know it";
    let signature = sign(key, b"we used our secret key");
    assert_eq!(
        HEXLOWER.encode(&signature),
        "e3d9e02908526c4c0039ae15114115d97fdd68bf2ba379b342aaf0f617d0552f"
    );
}

#[test]
fn an_admin_macaroon_is_laid_out_as_lnd_lays_it_out() {
    let shuffled: Vec<_> = ADMIN_OPS.iter().rev().chain(ADMIN_OPS).copied().collect();
    let hex = mint(&[7; 32], 0, &shuffled, [0; 16]).to_hex();
    let expected = [
        "0201036c6e6402f801030a1000000000000000000000000000000000120130",
        "1a160a076164647265737312047265616412057772697465",
        "1a130a04696e666f12047265616412057772697465",
        "1a170a08696e766f6963657312047265616412057772697465",
        "1a210a086d616361726f6f6e120867656e657261746512047265616412057772697465",
        "1a160a076d65737361676512047265616412057772697465",
        "1a170a086f6666636861696e12047265616412057772697465",
        "1a160a076f6e636861696e12047265616412057772697465",
        "1a140a05706565727312047265616412057772697465",
        "1a180a067369676e6572120867656e6572617465120472656164",
        "00000620",
    ];
    assert_eq!(hex[..hex.len() - 64], expected.concat());
}

#[test]
fn a_minted_macaroon_reads_back_as_itself() {
    let ops = [("uri", "/lnrpc.Lightning/AddInvoice"), ("info", "read"), ("uri", "/lnrpc.Lightning/GetInfo")];
    let minted = mint(&[7; 32], u64::MAX, &ops, [9; 16]);
    let read = Macaroon::parse(&minted.to_hex()).unwrap();
    assert_eq!(read.ops(), minted.ops());
    let shown: Vec<_> = read.ops().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["info:read", "uri:/lnrpc.Lightning/AddInvoice", "uri:/lnrpc.Lightning/GetInfo"]);
}

#[test]
fn whatever_goes_in_changes_what_comes_out() {
    let hex = |root_key, id, ops, nonce| mint(&root_key, id, ops, nonce).to_hex().to_string();
    let info: &[_] = &[("info", "read")];
    let all = [
        hex([7; 32], 0, info, [0; 16]),
        hex([8; 32], 0, info, [0; 16]),
        hex([7; 32], 1, info, [0; 16]),
        hex([7; 32], 0, &[("info", "write")], [0; 16]),
        hex([7; 32], 0, info, [1; 16]),
    ];
    let distinct: std::collections::HashSet<_> = all.iter().map(|hex| &hex[hex.len() - 64..]).collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn an_admin_macaroon_is_never_one_to_keep() {
    assert_eq!(mint(&[7; 32], 0, ADMIN_OPS, [0; 16]).judge(), Verdict::CanSign);
}
