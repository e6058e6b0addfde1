//! Strings that must not turn up, and every form in which they could.

use std::collections::{BTreeSet, HashMap};

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use e2e::owner::unique;

/// So many words of a seed in a row are no chance.
const WORDS: usize = 6;

/// How every macaroon of an LND begins: version 2, its location, and the tag of its identifier.
const MACAROON: &[u8] = b"\x02\x01\x03lnd\x02";

/// No form is shorter.
const START: usize = 8;

/// A secret, and what it looks like wherever it leaks.
pub struct Canary {
    pub name: String,
    forms: Vec<String>,
    /// Words in a row, whatever stands between them.
    rows: Vec<String>,
}

#[derive(Default)]
pub struct Canaries {
    all: Vec<Canary>,
    /// Which forms begin so, by canary and form: a text is gone through once, however many there are.
    starts: HashMap<[u8; START], Vec<(usize, usize)>>,
}

impl Canaries {
    /// A fresh string for one place in the input.
    pub fn plant(&mut self, place: &str) -> String {
        let text = unique("canary");
        self.text(place, &text);
        text
    }

    /// A secret that is text.
    pub fn text(&mut self, name: &str, secret: &str) {
        let mut forms = vec![secret.to_owned(), url_escaped(secret), url_escaped(secret).to_lowercase()];
        forms.dedup();
        forms.extend(encoded(secret.as_bytes()));
        self.add(name, forms);
    }

    /// A secret that is words in a row; a part of them is one as well.
    pub fn words(&mut self, name: &str, words: &[String]) {
        let rows: Vec<String> = words.chunks_exact(WORDS).map(|some| some.join(" ")).collect();
        let between = [" ", ",", "\",\"", "\", \""];
        let strung =
            |some: &[String]| between.map(|between| some.join(between)).map(|row| encoded(row.as_bytes()));
        let forms = words.chunks_exact(WORDS).flat_map(strung).flatten().collect();
        self.push(Canary { name: name.to_owned(), forms, rows });
    }

    /// Any macaroon at all, also those nobody outside the process ever had.
    pub fn macaroons(&mut self) {
        let mut forms = encoded(MACAROON);
        forms.extend(encoded(HEXLOWER.encode(MACAROON).as_bytes()));
        forms.retain(|form| form.len() >= START);
        self.push(Canary { name: "a macaroon".to_owned(), forms, rows: Vec::new() });
    }

    /// A secret that is bytes, and travels as hex or base64.
    pub fn bytes(&mut self, name: &str, secret: &[u8]) {
        let mut forms = encoded(secret);
        for text in [HEXLOWER.encode(secret), BASE64.encode(secret)] {
            forms.extend(encoded(text.as_bytes()));
        }
        self.add(name, forms);
    }

    fn add(&mut self, name: &str, forms: Vec<String>) {
        assert!(forms.iter().all(|form| form.len() >= 16), "{name} is too short to be told from chance");
        self.push(Canary { name: name.to_owned(), forms, rows: Vec::new() });
    }

    fn push(&mut self, canary: Canary) {
        for (at, form) in canary.forms.iter().enumerate() {
            let start = std::array::from_fn(|byte| form.as_bytes()[byte]);
            self.starts.entry(start).or_default().push((self.all.len(), at));
        }
        self.all.push(canary);
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The canaries in a text.
    pub fn in_text<'a>(&'a self, text: &str) -> impl Iterator<Item = &'a Canary> {
        let (words, text) = (words_of(text), text.as_bytes());
        let mut found = BTreeSet::new();
        for (at, start) in text.windows(START).enumerate() {
            let here = |(canary, form): &&(usize, usize)| {
                text[at..].starts_with(self.all[*canary].forms[*form].as_bytes())
            };
            let begun = self.starts.get(start).into_iter().flatten();
            found.extend(begun.filter(here).map(|(canary, _)| *canary));
        }
        let is = move |(at, canary): &(usize, &Canary)| {
            found.contains(at) || canary.rows.iter().any(|row| words.contains(row))
        };
        self.all.iter().enumerate().filter(is).map(|(_, canary)| canary)
    }
}

/// Nothing but the words of a text, in whatever notation they stand there.
fn words_of(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_lowercase()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn url_escaped(secret: &str) -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    secret.bytes().map(escape).collect()
}

/// Hex and base64. What base64 makes of bytes depends on what stands before them, so it is three texts.
fn encoded(secret: &[u8]) -> Vec<String> {
    let mut forms = vec![HEXLOWER.encode(secret), HEXUPPER.encode(secret)];
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret);
        bytes.truncate(bytes.len() / 3 * 3);
        // The first characters mix with what stands before.
        let mixed = [0, 2, 3][before];
        forms.extend([&BASE64, &BASE64URL].map(|alphabet| alphabet.encode(&bytes)[mixed..].to_owned()));
    }
    forms
}

#[test]
fn a_canary_is_found_in_every_form() {
    let mut canaries = Canaries::default();
    let secret = canaries.plant("text");
    canaries.bytes("bytes", &[0xfb; 24]);
    let found = |text: String| canaries.in_text(&text).map(|canary| canary.name.clone()).collect::<Vec<_>>();
    assert!(found("nothing here".to_owned()).is_empty());
    for around in ["", "x", "xy", "xyz"] {
        let text = format!("{around}{secret}{around}");
        for leak in [text.clone(), HEXUPPER.encode(text.as_bytes()), BASE64.encode(text.as_bytes())] {
            assert_eq!(found(leak), ["text"]);
        }
        let bytes = [around.as_bytes(), &[0xfb; 24]].concat();
        for leak in [
            HEXLOWER.encode(&bytes),
            BASE64URL.encode(&bytes),
            HEXLOWER.encode(BASE64.encode(&[0xfb; 24]).as_bytes()),
        ] {
            assert_eq!(found(leak), ["bytes"]);
        }
    }
}

#[test]
fn words_an_escaped_password_and_any_macaroon_are_found() {
    let mut canaries = Canaries::default();
    let words: Vec<String> = (b'a'..=b'x').map(|letter| char::from(letter).to_string().repeat(4)).collect();
    canaries.words("seed", &words);
    canaries.text("password", "pass/word+of=wallets");
    canaries.macaroons();
    let found = |text: &str| canaries.in_text(text).map(|canary| canary.name.clone()).collect::<Vec<_>>();
    let json = serde_json::json!({ "words": words }).to_string();
    for leak in [
        words.join(" "),
        words.join("%20"),
        words.join("+"),
        format!("{words:?}"),
        serde_json::json!(json).to_string(),
        serde_json::json!(format!("{words:?}")).to_string(),
        BASE64.encode(json.as_bytes()),
        HEXLOWER.encode(words[3..].join(",").as_bytes()),
    ] {
        assert_eq!(found(&leak), ["seed"], "{leak}");
    }
    assert!(found(&words[..5].join(" ")).is_empty(), "a few words are no seed");
    assert_eq!(found("?password=pass%2Fword%2Bof%3Dwallets"), ["password"]);
    let macaroon = [MACAROON, &[7; 40]].concat();
    for leak in [HEXLOWER.encode(&macaroon), BASE64.encode(&macaroon), BASE64URL.encode(&macaroon)] {
        assert_eq!(found(&format!("x={leak};")), ["a macaroon"], "{leak}");
    }
}
