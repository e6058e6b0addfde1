//! Signatures nobody made.

use std::{
    hash::{BuildHasher, RandomState},
    thread,
};

use super::{
    super::{FIRST_HEADER, SIGNATURE_BYTES, SignatureError, verify},
    PUBLISHED, key, text_of,
};

/// `SplitMix64` (Steele, Lea, Flood 2014): repeatable from the printed seed.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In form a signature: a good header, and s low.
    fn signature(&mut self) -> String {
        let mut bytes = [0; SIGNATURE_BYTES];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        // Ids 2 and 3 need an r that almost never occurs.
        bytes[0] = FIRST_HEADER + bytes[0] % 2;
        bytes[33] &= 0x7f;
        text_of(&bytes)
    }
}

#[test]
fn no_random_signature_is_accepted() {
    const THREADS: u64 = 2;
    let each = 1_000_000 / THREADS;
    let seed = RandomState::new().hash_one("no_random_signature_is_accepted");
    println!("seed {seed:#018x}, {} signatures", each * THREADS);
    let (message, _, expected) = PUBLISHED[0];
    let expected = key(expected);
    let attack = |thread: u64| {
        let mut random = SplitMix(seed.wrapping_add(thread << 32));
        let mut recovered = 0_u64;
        for _ in 0..each {
            let signature = random.signature();
            let outcome = verify(message.as_bytes(), &signature, &expected);
            assert!(outcome.is_err(), "seed {seed:#018x}: {signature} was accepted");
            recovered += u64::from(outcome == Err(SignatureError::WrongKey));
        }
        recovered
    };
    let recovered: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || attack(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Half of all x are on the curve. Fewer, and the comparison was hardly tried.
    assert!(recovered > each * THREADS * 4 / 10, "seed {seed:#018x}: {recovered} recovered a key");
    println!("{recovered} recovered some other key");
}
