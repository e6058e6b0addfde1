//! A good token, cut, bent, doubled, spelled otherwise, or sent by another way.

use data_encoding::BASE64;
use testing::Result;

use super::Forms;
use super::kit::{Kit, base64, changed};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Characters of each part whose bits are flipped.
const SAMPLES: usize = 16;

pub fn add(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let good = kit.good.as_str();
    cut(good, forms);
    flipped(good, forms);
    rearranged(good, forms);
    spelled_otherwise(good, forms);
    sent_otherwise(good, forms);
    huge(kit, forms)
}

fn cut(good: &str, forms: &mut Forms) {
    let dots: Vec<usize> = good.match_indices('.').map(|(at, _)| at).collect();
    for (which, dot) in dots.into_iter().enumerate() {
        for at in dot - 2..=dot + 3 {
            forms.token(format!("the first {} around dot {which}", at + 2 - dot), &good[..at]);
            forms.token(format!("the last {} around dot {which}", at + 2 - dot), &good[at..]);
        }
    }
    for less in [1, 2, 3, 4, 8, 86, 171] {
        forms.token(format!("{less} less at the end"), &good[..good.len() - less]);
    }
    for less in [1, 2, 3, 4] {
        forms.token(format!("{less} less at the start"), &good[less..]);
    }
}

/// One bit of one character, which is one bit of what is signed or of the signature. The last characters carry
/// bits that stand for nothing; a second spelling of the same signature is refused too.
fn flipped(good: &str, forms: &mut Forms) {
    let mut start = 0;
    for (which, part) in good.split('.').enumerate() {
        let mut places: Vec<usize> = (0..SAMPLES).map(|sample| sample * part.len() / SAMPLES).collect();
        places.push(part.len() - 1);
        for place in places {
            for bit in if place == part.len() - 1 { 0..6 } else { 0..1 } {
                let mut bytes = good.as_bytes().to_vec();
                let at = start + place;
                let value = ALPHABET.iter().position(|symbol| *symbol == bytes[at]).unwrap_or_default();
                bytes[at] = ALPHABET[value ^ (1 << bit)];
                forms.token(
                    format!("bit {bit} of character {place} of part {which} flipped"),
                    &String::from_utf8_lossy(&bytes),
                );
            }
        }
        start += part.len() + 1;
    }
}

fn rearranged(good: &str, forms: &mut Forms) {
    let parts: Vec<&str> = good.split('.').collect();
    let [a, b, c] = parts[..] else { return };
    let arrangements: [&[&str]; 22] = [
        &[a, b, c, c],
        &[a, a, b, c],
        &[a, b, b, c],
        &[a, b, c, a, b, c],
        &[a, b, c, ""],
        &["", a, b, c],
        &[a, "", b, c],
        &[a, b, "", c],
        &["", b, c],
        &[a, "", c],
        &[a, b, ""],
        &["", "", ""],
        &["", ""],
        &["", "", c],
        &[a, "", ""],
        &["", b, ""],
        &["", "", "", ""],
        &[c, b, a],
        &[b, a, c],
        &[a, c, b],
        &[a, b, a],
        // A JWE has five.
        &[a, b, c, b, c],
    ];
    for (at, arrangement) in arrangements.iter().enumerate() {
        forms.token(format!("arrangement {at}"), &arrangement.join("."));
    }
    for (name, token) in [
        ("two in a row", format!("{good}{good}")),
        ("two with a space", format!("{good} {good}")),
        ("two with a comma", format!("{good},{good}")),
        ("two headers joined as the gateway joins them", format!("{good}, Bearer {good}")),
        ("flattened JSON", format!(r#"{{"protected":"{a}","payload":"{b}","signature":"{c}"}}"#)),
        (
            "general JSON",
            format!(r#"{{"payload":"{b}","signatures":[{{"protected":"{a}","signature":"{c}"}}]}}"#),
        ),
    ] {
        forms.token(name, &token);
    }
}

fn spelled_otherwise(good: &str, forms: &mut Forms) {
    let parts: Vec<&str> = good.split('.').collect();
    let [a, b, c] = parts[..] else { return };
    let standard = good.replace('-', "+").replace('_', "/");
    // One signature in fifty thousand has neither symbol, and is spelled the same in both.
    if standard != good {
        forms.token("in the standard alphabet", &standard);
    }
    for (name, token) in [
        ("padding after the header", format!("{a}=.{b}.{c}")),
        ("padding after the payload", format!("{a}.{b}=.{c}")),
        ("padding after the signature", format!("{a}.{b}.{c}=")),
        ("more padding after the signature", format!("{a}.{b}.{c}==")),
        ("a symbol more", format!("{good}A")),
        ("four symbols more", format!("{good}AAAA")),
        ("a space in the header", format!("{} {}.{b}.{c}", &a[..8], &a[8..])),
        ("a space before the payload", format!("{a}. {b}.{c}")),
        ("a space after the payload", format!("{a}.{b} .{c}")),
        ("a space in the signature", format!("{a}.{b}.{} {}", &c[..8], &c[8..])),
        ("a tab in the signature", format!("{a}.{b}.{}\t{}", &c[..8], &c[8..])),
        ("a line end in the signature", format!("{a}.{b}.{}\n{}", &c[..8], &c[8..])),
        ("a carriage return in the payload", format!("{a}.{}\r\n{}.{c}", &b[..8], &b[8..])),
        ("a NUL at the end", format!("{good}\0")),
        ("a full-width dot", good.replace('.', "\u{ff0e}")),
        ("a one-dot leader", good.replace('.', "\u{2024}")),
        ("a Cyrillic letter", good.replacen('e', "\u{435}", 1)),
        ("a zero-width space", format!("{a}.{b}.\u{200b}{c}")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("a right-to-left mark", format!("{good}\u{202e}")),
        ("an emoji", format!("{a}.{b}.\u{1f511}")),
        ("é", String::from("é")),
        ("dots percent-encoded", good.replace('.', "%2E")),
        ("in upper case", good.to_uppercase()),
        ("in lower case", good.to_lowercase()),
        ("back to front", good.chars().rev().collect()),
        ("in base64", BASE64.encode(good.as_bytes())),
        ("in double quotes", format!("\"{good}\"")),
        ("in single quotes", format!("'{good}'")),
        ("in angle brackets", format!("<{good}>")),
        ("null", String::from("null")),
        ("undefined", String::from("undefined")),
        ("a word", String::from("token")),
        ("a star", String::from("*")),
        ("a query", String::from("' OR 1=1 --")),
    ] {
        forms.token(name, &token);
    }
}

fn sent_otherwise(good: &str, forms: &mut Forms) {
    let forged = good.to_uppercase();
    let basic = BASE64.encode(format!("token:{good}").as_bytes());
    for (name, header) in [
        ("the scheme in lower case, forged", format!("bearer {forged}x")),
        ("the scheme in upper case, forged", format!("BEARER {forged}x")),
        ("no scheme", good.to_owned()),
        ("no token", String::from("Bearer")),
        ("a space for a token", String::from("Bearer ")),
        ("no space", format!("Bearer{good}")),
        ("a colon", format!("Bearer: {good}")),
        ("an equals sign", format!("Bearer={good}")),
        ("a tab for the space", format!("Bearer\t{good}")),
        ("the scheme twice", format!("Bearer Bearer {good}")),
        ("a space before the scheme", format!(" Bearer {good}")),
        ("Basic", format!("Basic {basic}")),
        ("Basic with the token", format!("Basic {good}")),
        ("Token", format!("Token {good}")),
        ("JWT", format!("JWT {good}")),
        ("DPoP", format!("DPoP {good}")),
        ("Digest", format!("Digest {good}")),
        ("Negotiate", format!("Negotiate {good}")),
        ("AWS4-HMAC-SHA256", format!("AWS4-HMAC-SHA256 Credential={good}")),
        ("a parameter", format!("Bearer access_token={good}")),
        ("empty", String::new()),
    ] {
        forms.header(name, header);
    }
    forms.elsewhere("no header at all", Vec::new(), String::new());
    for name in ["access_token", "token", "authorization", "Authorization", "jwt"] {
        forms.elsewhere(format!("{name} in the query"), Vec::new(), format!("{name}={good}"));
    }
    for name in
        ["x-authorization", "proxy-authorization", "x-access-token", "cookie", "x-amzn-oidc-accesstoken"]
    {
        let value = if name == "cookie" { format!("access_token={good}") } else { format!("Bearer {good}") };
        forms.elsewhere(format!("{name} for authorization"), vec![(name, value)], String::new());
    }
}

fn huge(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let megabyte = "a".repeat(1 << 20);
    forms.token("a megabyte", &megabyte);
    forms.token("a megabyte of dots", &".".repeat(1 << 20));
    forms.token("a megabyte of signature", &format!("{}{megabyte}", kit.good));
    let claims = changed(&kit.claims(), "pad", Some(megabyte.clone().into()));
    forms.token("a megabyte of claims, signed", &kit.signed(&kit.header(), &claims)?);
    let header = changed(&kit.header(), "pad", Some(megabyte.into()));
    forms.token("a megabyte of header, signed", &kit.signed(&header, &kit.claims())?);
    let claims = changed(&kit.claims(), "pad", Some("a".repeat(3000).into()));
    forms.token("a little too long, signed", &kit.signed(&kit.header(), &claims)?);
    forms.token("one symbol, a megabyte of dots", &format!("{}{}", base64("{}"), ".".repeat(1 << 20)));
    Ok(())
}
