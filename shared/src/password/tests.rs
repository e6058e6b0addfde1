//! What may be a password, and what verifies against what.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use unicode_normalization::UnicodeNormalization;

use super::*;
use crate::random::Random;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn new(text: &str) -> Result<NewPassword, InvalidPassword> {
    NewPassword::parse(&secret(text))
}

fn given(text: &str) -> Password {
    Password::given(&secret(text)).unwrap()
}

async fn verdict(text: &str, stored: &str) -> Verdict {
    verify(&given(text), Some(&secret(stored))).await.unwrap()
}

#[test]
fn a_password_has_8_to_128_characters() {
    for (length, expected) in [
        (0, Some(InvalidPassword::TooShort)),
        (7, Some(InvalidPassword::TooShort)),
        (8, None),
        (128, None),
        (129, Some(InvalidPassword::TooLong)),
        (1_000_000, Some(InvalidPassword::TooLong)),
    ] {
        for character in ["x", "é", "☕", "\u{1f40e}"] {
            assert_eq!(new(&character.repeat(length)).err(), expected, "{length} times {character}");
        }
    }
}

#[test]
fn characters_are_counted_as_they_are_kept() {
    // Eight letters and eight accents are eight characters; one ligature is eighteen.
    assert!(new(&"e\u{301}".repeat(8)).is_ok());
    assert_eq!(new(&"e\u{301}".repeat(7)).err(), Some(InvalidPassword::TooShort));
    assert!(new("\u{fdfa}").is_ok());
    assert_eq!(new(&"\u{fdfa}".repeat(8)).err(), Some(InvalidPassword::TooLong));
}

#[test]
fn nothing_prints_a_password() {
    let password = new("correct horse ﬁ").unwrap();
    assert!(!format!("{password:?}").contains("horse"));
    for json in ["\"canary\"", "12345678", "[\"canary\"]", "{\"canary\":1}", "null", "true"] {
        let refusal = serde_json::from_str::<NewPassword>(json).unwrap_err().to_string();
        assert!(!refusal.contains("canary") && !refusal.contains("12345678"), "{refusal}");
    }
}

#[tokio::test]
async fn a_hash_is_argon2id_as_owasp_has_it_and_salted() {
    let (password, random) = (new("correct horse battery staple").unwrap(), Random::system());
    let first = hash(&password, &random).await.unwrap();
    let second = hash(&password, &random).await.unwrap();
    assert!(first.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.expose());
    assert_ne!(first.expose(), second.expose());
    assert_eq!(verdict("correct horse battery staple", first.expose()).await, Verdict::Right);
    assert_eq!(verdict("correct horse battery stapl", first.expose()).await, Verdict::Wrong);
}

#[test]
fn memory_that_was_used_before_makes_the_same_hash_as_fresh_memory() {
    use super::hash::{argon2id, hash_now};
    use argon2::password_hash::PasswordHasher;
    for (text, salt) in [("correct horse", [1; 16]), ("battery staple", [2; 16]), ("correct horse", [1; 16])]
    {
        let fresh = argon2id().unwrap().hash_password_with_salt(text.as_bytes(), &salt).unwrap();
        assert_eq!(hash_now(&given(text), &salt).unwrap().expose(), &fresh.to_string());
    }
}

#[tokio::test]
async fn a_hash_of_another_setting_verifies_and_is_to_be_made_anew() {
    // A test vector of the reference implementation.
    let other = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert_eq!(verdict("password", other).await, Verdict::RightButOutdated);
    assert_eq!(verdict("passwore", other).await, Verdict::Wrong);
}

#[tokio::test]
async fn bcrypt_of_every_kind_verifies_and_is_to_be_hashed_anew() {
    let hash = "04$UuTkLRZZ6QofpDOlMz32MuuxEHA43WOemOYHPz6.SjsVsyO1tDU96";
    for kind in ["2a", "2b", "2x", "2y"] {
        let stored = format!("${kind}${hash}");
        assert_eq!(verdict("password", &stored).await, Verdict::RightButOutdated, "{kind}");
        assert_eq!(verdict("passwore", &stored).await, Verdict::Wrong, "{kind}");
    }
}

#[tokio::test]
async fn bcrypt_of_what_was_typed_verifies_though_it_is_no_normal_form() {
    let typed = "cafe\u{301} ﬁnal";
    let stored = bcrypt::hash_with_salt(typed, 4, [3; 16]).unwrap().to_string();
    assert_eq!(verdict(typed, &stored).await, Verdict::RightButOutdated);
    let normal = typed.nfkc().collect::<String>();
    let stored = bcrypt::hash_with_salt(&normal, 4, [3; 16]).unwrap().to_string();
    assert_eq!(verdict(typed, &stored).await, Verdict::RightButOutdated);
}

#[tokio::test]
async fn what_is_no_hash_is_an_error_and_no_password() {
    let dear = "$2b$31$UuTkLRZZ6QofpDOlMz32MuuxEHA43WOemOYHPz6.SjsVsyO1tDU96";
    for stored in ["", "$", "$2b$", "$argon2id$", "plain", "$2b$04$short", dear] {
        let outcome = verify(&given("password"), Some(&secret(stored))).await;
        assert!(outcome.is_err(), "{stored}: {outcome:?}");
    }
}

#[tokio::test]
async fn nobody_is_verified_in_the_time_of_somebody_and_never_right() {
    let stored = hash(&new("correct horse").unwrap(), &Random::system()).await.unwrap();
    let time = async |stored: Option<&Secret<String>>| {
        let started = std::time::Instant::now();
        assert_eq!(verify(&given("a wrong guess"), stored).await.unwrap(), Verdict::Wrong);
        started.elapsed()
    };
    // By turns, and the quickest of many: what else the machine does is nobody's in particular.
    let (mut somebody, mut nobody) = (std::time::Duration::MAX, std::time::Duration::MAX);
    for _ in 0..40 {
        somebody = somebody.min(time(Some(&stored)).await);
        nobody = nobody.min(time(None).await);
    }
    let (less, more) = (somebody.min(nobody), somebody.max(nobody));
    assert!(more < less * 2, "somebody {somebody:?}, nobody {nobody:?}");
}

/// Whatever somebody chose, every spelling of it that Unicode holds to be the same lets them in, and nothing else does.
#[test]
fn spellings_that_are_one_in_nfkc_verify_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let random = Random::system();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(100) });
    let text = "[a-zA-Z0-9 éüñå\u{212b}ﬁ①ｘ각\u{fb01}e\u{301}☕]{8,24}";
    runner
        .run(&(text, "[a-z]{8,24}"), |(text, other)| {
            let Ok(password) = new(&text) else { return Err(TestCaseError::reject("too short or long")) };
            runtime.block_on(async {
                let stored = hash(&password, &random).await.unwrap();
                let spellings: [String; 4] = [
                    text.nfd().collect(),
                    text.nfc().collect(),
                    text.nfkd().collect(),
                    text.nfkc().collect(),
                ];
                for spelling in &spellings {
                    prop_assert_eq!(verdict(spelling, stored.expose()).await, Verdict::Right);
                }
                prop_assume!(!spellings.contains(&other));
                prop_assert_eq!(verdict(&other, stored.expose()).await, Verdict::Wrong);
                Ok(())
            })
        })
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_text_is_a_password_or_says_why_not(text in "\\PC{0,160}") {
        let length = text.nfkc().count();
        let expected = match length {
            0..8 => Some(InvalidPassword::TooShort),
            8..=128 => None,
            _ => Some(InvalidPassword::TooLong),
        };
        prop_assert_eq!(new(&text).err(), expected);
    }
}
