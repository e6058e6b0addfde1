//! Strings that must not turn up, and every form in which they could.

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use e2e::owner::unique;

/// A secret, and what it looks like wherever it leaks.
pub struct Canary {
    pub name: String,
    forms: Vec<String>,
}

#[derive(Default)]
pub struct Canaries(Vec<Canary>);

impl Canaries {
    /// A fresh string for one place in the input.
    pub fn plant(&mut self, place: &str) -> String {
        let text = unique("canary");
        self.text(place, &text);
        text
    }

    /// A secret that is text.
    pub fn text(&mut self, name: &str, secret: &str) {
        let mut forms = vec![secret.to_owned()];
        forms.extend(encoded(secret.as_bytes()));
        self.add(name, forms);
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
        self.0.push(Canary { name: name.to_owned(), forms });
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The canaries in a text.
    pub fn in_text<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a Canary> {
        self.0.iter().filter(move |canary| canary.forms.iter().any(|form| text.contains(form)))
    }
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
