//! Requests and answers, to be read by people: secrets cut short, since terminals are recorded and shared.

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

const SECRET_FIELDS: [&str; 8] = [
    "accessToken",
    "refreshToken",
    "customToken",
    "stepUpToken",
    "password",
    "token",
    "admin_macaroon",
    "invoice_macaroon",
];
const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "grpc-metadata-macaroon"];
const SHOWN: usize = 16;

pub fn request(method: &Method, url: &str, headers: &[(&str, &str)], body: Option<&Value>) {
    println!("> {method} {url}");
    for (name, value) in headers {
        let value = if SECRET_HEADERS.contains(name) { shorten(value) } else { (*value).to_owned() };
        println!("> {name}: {value}");
    }
    if let Some(body) = body {
        indented(">", body);
    }
}

pub fn answer(status: StatusCode, headers: &HeaderMap, body: &Value) {
    println!("< {status}");
    if let Some(id) = headers.get("x-request-id").and_then(|value| value.to_str().ok()) {
        println!("< x-request-id: {id}");
    }
    if !body.is_null() {
        indented("<", body);
    }
}

/// A BOLT11 invoice as a wallet's camera reads it: upper case, which takes the smaller alphabet.
pub fn qr(bolt11: &str) -> anyhow::Result<()> {
    let code = qrcode::QrCode::with_error_correction_level(bolt11.to_uppercase(), qrcode::EcLevel::L)?;
    // Dark on light, whatever the terminal's colours are: scanners do not read the opposite.
    let drawn = code.render::<qrcode::render::unicode::Dense1x2>();
    println!("\u{1b}[30;107m{}\u{1b}[0m", drawn.build().replace('\n', "\u{1b}[0m\n\u{1b}[30;107m"));
    Ok(())
}

fn indented(mark: &str, body: &Value) {
    for line in format!("{:#}", safe(body)).lines() {
        println!("{mark} {line}");
    }
}

/// The same, with the values of secret fields cut short.
fn safe(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let shown = fields.iter().map(|(name, value)| match value {
                Value::String(text) if SECRET_FIELDS.contains(&name.as_str()) => {
                    (name.clone(), Value::String(shorten(text)))
                }
                other => (name.clone(), safe(other)),
            });
            Value::Object(shown.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(safe).collect()),
        other => other.clone(),
    }
}

fn shorten(secret: &str) -> String {
    // Never most of it: a password is short.
    let shown = SHOWN.min(secret.chars().count() / 4);
    secret.chars().take(shown).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::safe;
    use serde_json::json;

    #[test]
    fn secrets_are_cut_short_wherever_they_stand() {
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{}", "a-long-rest".repeat(5));
        let shown = safe(&json!({"data": [{"accessToken": token, "password": "open sesame", "did": token}]}));
        let expected =
            json!({"data": [{"accessToken": "eyJhbGciOiJSUzI1…", "password": "op…", "did": token}]});
        assert_eq!(shown, expected);
    }
}
