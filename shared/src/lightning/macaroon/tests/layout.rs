//! One layout is read, and nothing beside it.

use super::{
    super::{BASE64, Macaroon, MacaroonError, Verdict},
    Parts, caveat, field, hex, nonce_and_storage_id, op, refusal,
};

#[test]
fn a_macaroon_is_laid_out_in_one_way() {
    let good = || Parts::of(&[op("info", &["read"])]);
    let malformed = [
        vec![2],
        Parts { signature: vec![9; 31], ..good() }.bytes(),
        Parts { signature: vec![9; 33], ..good() }.bytes(),
        Parts { signature: vec![], ..good() }.bytes(),
        [good().bytes(), vec![0]].concat(),
        [good().bytes(), good().bytes()].concat(),
        Parts { caveats: field(2, b"no end"), ..good() }.bytes(),
        Parts { caveats: field(6, &[9; 32]), ..good() }.bytes(),
        Parts { caveats: vec![1], ..good() }.bytes(),
    ];
    for bytes in malformed {
        assert_eq!(refusal(&bytes), MacaroonError::Malformed, "{}", hex(&bytes));
    }
    for version in [0, 1, 3] {
        let bytes = Parts { version, ..good() }.bytes();
        assert_eq!(Macaroon::parse(&BASE64.encode(&bytes)).unwrap_err(), MacaroonError::UnsupportedVersion);
    }
    assert_eq!(
        Macaroon::parse(&hex(&Parts { location: None, ..good() }.bytes())).unwrap().judge(),
        Verdict::Narrow
    );
}

#[test]
fn caveats_may_narrow_but_not_call_on_others() {
    let good = || Parts::of(&[op("info", &["read"])]);
    let ours = [caveat(b"time-before 2027-01-01T00:00:00Z"), caveat(b"ipaddr 192.0.2.1")].concat();
    assert!(Macaroon::parse(&hex(&Parts { caveats: ours.clone(), ..good() }.bytes())).is_ok());
    let third_party = [ours, field(1, b"elsewhere"), field(2, b"id"), field(4, b"vid"), vec![0]].concat();
    assert_eq!(refusal(&Parts { caveats: third_party, ..good() }.bytes()), MacaroonError::ThirdPartyCaveat);
}

#[test]
fn an_identifier_that_could_be_read_in_two_ways_is_not_lnds() {
    let (head, info) = (nonce_and_storage_id(), op("info", &["read"]));
    let identifiers = [
        vec![],
        vec![3],
        [vec![2], head.clone(), info.clone()].concat(),
        [vec![3], info.clone()].concat(),
        [vec![3], field(0x0a, &[7; 16]), info.clone()].concat(),
        [vec![3], head.clone(), head.clone(), info.clone()].concat(), // everything once
        [vec![3], head.clone(), info.clone(), field(0x22, b"?")].concat(), // an unknown field
        [vec![3], head.clone(), vec![0x18, 1]].concat(),              // a number in place of operations
        [vec![3], head.clone(), field(0x1a, &[])].concat(),           // an operation without anything
        [vec![3], head.clone(), field(0x1a, &field(0x0a, b"info"))].concat(), // without action
        [vec![3], head.clone(), field(0x1a, &field(0x12, b"read"))].concat(), // without entity
        [
            vec![3],
            head.clone(),
            field(0x1a, &[field(0x0a, b"info"), field(0x0a, b"signer"), field(0x12, b"read")].concat()),
        ]
        .concat(), // two entities
        [vec![3], head.clone(), field(0x1a, &[field(0x0a, b"\xff"), field(0x12, b"read")].concat())].concat(),
        [vec![3], head.clone(), info.clone(), vec![0x1a]].concat(), // cut
        [vec![3], head.clone(), vec![0x1a, 0x8c, 0x00], info[2..].to_vec()].concat(), // a longer 12
    ];
    for identifier in identifiers {
        let shown = hex(&identifier);
        assert_eq!(refusal(&Parts::identified(identifier).bytes()), MacaroonError::NotFromLnd, "{shown}");
    }
    assert_eq!(refusal(&Parts::of(&[]).bytes()), MacaroonError::NoOperations);
    assert_eq!(
        refusal(&Parts::identified(b"any other service's".to_vec()).bytes()),
        MacaroonError::NotFromLnd
    );
}
