//! One spelling for each mailbox, and no address that says more than one.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Email, InvalidEmail> {
    text.parse()
}

fn spelt(text: &str) -> String {
    parse(text).unwrap().as_str().to_owned()
}

#[test]
fn case_is_no_difference() {
    assert_eq!(spelt("Alice@Example.COM"), "alice@example.com");
    assert_eq!(spelt("o'hara+tag@mail.example.co.uk"), "o'hara+tag@mail.example.co.uk");
}

#[test]
fn a_domain_in_any_script_is_the_one_dns_knows() {
    assert_eq!(spelt("a@BÜCHER.example"), "a@xn--bcher-kva.example");
    assert_eq!(spelt("a@bu\u{308}cher.example"), "a@xn--bcher-kva.example");
    assert_eq!(spelt("a@xn--bcher-kva.example"), "a@xn--bcher-kva.example");
    assert_eq!(spelt("a@example。com"), "a@example.com");
    assert_eq!(spelt("a@ｅｘａｍｐｌｅ.com"), "a@example.com");
}

#[test]
fn what_is_no_address_is_refused() {
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long_label = format!("a@{}.com", "a".repeat(64));
    let long_domain = format!("a@{}com", "abcdefgh.".repeat(28));
    let refused = [
        "",
        "@",
        "a",
        "a@",
        "@example.com",
        "a@b",
        "a@@example.com",
        "a@example.com@",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a b@example.com",
        "\"a\"@example.com",
        "a@[192.0.2.1]",
        "a@192.0.2.1",
        "a@[::1]",
        "a@example.1",
        "a@0x7f.1",
        "a@exam_ple.com",
        "a@-example.com",
        "a@example-.com",
        "a@.example.com",
        "a@example.com.",
        "a@example..com",
        "a@exa%6dple.com",
        "a@example.com/x",
        "a@example.com:25",
        "a@user:pw@example.com",
        "Bob <a@example.com>",
        "a@example.com, b@example.com",
        "ä@example.com",
        "\u{430}@example.com",
        "a\u{200b}@example.com",
        &long_local,
        &long_label,
        &long_domain,
    ];
    for text in refused {
        assert_eq!(parse(text), Err(InvalidEmail), "{text:?}");
    }
}

#[test]
fn no_address_brings_a_header_along() {
    let address = "a@example.com";
    for at in 0..=address.len() {
        for trick in
            ["\r\nBcc: b@example.com", "\n", "\r", "\0", "\t", " ", "\u{85}", "\u{2028}", "%0d%0a", "=0A"]
        {
            let mut text = address.to_owned();
            text.insert_str(at, trick);
            if let Ok(email) = parse(&text) {
                // What may stand in a local part is harmless as it is.
                assert!(email.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
                assert!(trick.is_ascii() && at <= 1, "{text:?}");
            }
        }
    }
}

#[test]
fn nothing_prints_an_address() {
    assert_eq!(format!("{:?}", parse("alice@example.com").unwrap()), "[redacted]");
    let refusal = serde_json::from_str::<Email>("\"alice at example.com\"").unwrap_err().to_string();
    assert!(!refusal.contains("alice"), "{refusal}");
    let refusal = serde_json::from_str::<Email>("4711").unwrap_err().to_string();
    assert!(!refusal.contains("4711"), "{refusal}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics_and_what_is_taken_is_printable_ascii_within_bounds(text in ".{0,80}") {
        if let Ok(email) = parse(&text) {
            prop_assert!(email.as_str().len() <= 254);
            prop_assert!(email.as_str().bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
            prop_assert_eq!(email.as_str().matches('@').count(), 1);
        }
    }

    #[test]
    fn the_one_spelling_is_its_own(
        local in "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,16}(\\.[A-Za-z0-9+_-]{1,8}){0,2}",
        domain in "[a-zA-Zäöüßéαω中]([a-z0-9A-Zäöüßéαω中]{0,12})(\\.[a-zA-Z][a-z0-9A-Z]{0,8}){1,3}",
    ) {
        let text = format!("{local}@{domain}");
        if let Ok(email) = parse(&text) {
            prop_assert_eq!(&parse(email.as_str()).unwrap(), &email);
            // Whoever types it in capitals means the same.
            let shouted = format!("{}@{}", local.to_ascii_uppercase(), domain.to_ascii_uppercase());
            prop_assert_eq!(parse(&shouted).unwrap(), email);
        }
    }

    #[test]
    fn ascii_addresses_are_one_mailbox_only_when_they_differ_in_case_alone(
        texts in prop::collection::vec("[aAbB+.]{1,3}@[aAbB]{1,2}\\.[cC]{2}", 2..40),
    ) {
        let mut seen: HashMap<String, String> = HashMap::new();
        for text in texts {
            if let Ok(email) = parse(&text) {
                let lowered = text.to_ascii_lowercase();
                let first = seen.entry(email.as_str().to_owned()).or_insert_with(|| lowered.clone());
                prop_assert_eq!(&*first, &lowered);
            }
        }
    }

    #[test]
    fn no_control_character_or_space_is_taken_anywhere(at in 0_usize..14, character in "[\u{0}-\u{20}\u{7f}-\u{a0}\u{2028}\u{2029}\u{3000}]") {
        let mut text = String::from("al@example.com");
        text.insert_str(at, &character);
        prop_assert_eq!(parse(&text), Err(InvalidEmail));
    }
}
