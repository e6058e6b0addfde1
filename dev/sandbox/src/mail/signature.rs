//! Signature Version 4, checked.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use hyper::{Request, StatusCode, body::Bytes, header::AUTHORIZATION};

use super::{KNOWN_KEY, api::Refusal};
use crate::seed::hmac_sha256;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

fn header<'a>(request: &'a Request<Bytes>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The value of `name=` in an `Authorization` header.
fn part<'a>(authorization: &'a str, name: &str) -> &'a str {
    let mut parts = authorization.split([',', ' ']);
    parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

pub(super) fn check(request: &Request<Bytes>) -> Result<(), Refusal> {
    let authorization = header(request, AUTHORIZATION.as_str());
    if authorization.is_empty() {
        let message = String::from("Missing Authentication Token");
        return Err(Refusal(StatusCode::FORBIDDEN, "MissingAuthenticationTokenException", message));
    }
    let incomplete = |what: &str| {
        let message = format!("Authorization header: {what}");
        Refusal(StatusCode::BAD_REQUEST, "IncompleteSignatureException", message)
    };
    let (credential, signed) = (part(authorization, "Credential"), part(authorization, "SignedHeaders"));
    let signature = part(authorization, "Signature");
    let [key_id, date, region, "ses", "aws4_request"] = credential.split('/').collect::<Vec<_>>()[..] else {
        return Err(incomplete("not a scope of this service"));
    };
    let time = header(request, "x-amz-date");
    let names: Vec<&str> = signed.split(';').collect();
    let in_form = authorization.starts_with(ALGORITHM)
        && signature.len() == 64
        && signature.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && time.len() == 16
        && !date.is_empty()
        && time.starts_with(date);
    if !in_form || !names.contains(&"host") || !names.contains(&"x-amz-date") {
        return Err(incomplete("not a signature"));
    }
    if key_id == KNOWN_KEY && expected(request, &names, time, (date, region)) != signature {
        let message =
            String::from("The request signature we calculated does not match the one you provided.");
        return Err(Refusal(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message));
    }
    Ok(())
}

/// What [`KNOWN_KEY`] would have signed. The path here has nothing in it that needs an escape, and there is no query.
fn expected(request: &Request<Bytes>, names: &[&str], time: &str, (date, region): (&str, &str)) -> String {
    let hash = |bytes: &[u8]| HEXLOWER.encode(digest(&SHA256, bytes).as_ref());
    let header = |name: &&str| [name, ":", header(request, name).trim(), "\n"].concat();
    let headers: String = names.iter().map(header).collect();
    let canonical = format!(
        "{}\n{}\n\n{headers}\n{}\n{}",
        request.method(),
        request.uri().path(),
        names.join(";"),
        hash(request.body())
    );
    let scope = format!("{date}/{region}/ses/aws4_request");
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
    let secret = format!("AWS4{KNOWN_KEY}");
    let key = [date, region, "ses", "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac_sha256(&key, part.as_bytes()).to_vec());
    HEXLOWER.encode(&hmac_sha256(&key, to_sign.as_bytes()))
}
