//! What the header of a JWT can say to be believed.

use data_encoding::BASE64;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use testing::Result;

use super::Forms;
use super::kit::{Kit, Public, base64, changed, jws};

pub fn add(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    unsigned(kit, forms);
    keyed_by_the_public_key(kit, forms)?;
    another_algorithm(kit, forms)?;
    bringing_its_own_key(kit, forms)?;
    key_ids(kit, forms)?;
    types_and_extensions(kit, forms)
}

fn unsigned(kit: &Kit<'_>, forms: &mut Forms) {
    let signature = kit.good.rsplit('.').next().unwrap_or_default();
    let claims = base64(&kit.claims().to_string());
    let spellings =
        ["none", "None", "NONE", "nOnE", "NoNe", "nonE", "none ", " none", "none\0", "null", "", "0"];
    let mut algorithms: Vec<(String, Option<Value>)> =
        spellings.map(|alg| (format!("{alg:?}"), Some(json!(alg)))).into();
    for odd in [json!(null), json!(0), json!(false), json!([]), json!(["RS256"]), json!({ "alg": "RS256" })] {
        algorithms.push((odd.to_string(), Some(odd)));
    }
    algorithms.push((String::from("missing"), None));
    for (name, alg) in algorithms {
        let head = base64(&changed(&kit.header(), "alg", alg).to_string());
        forms.token(format!("alg {name}, empty signature"), &format!("{head}.{claims}."));
        forms.token(format!("alg {name}, no signature"), &format!("{head}.{claims}"));
        forms.token(format!("alg {name}, another's signature"), &format!("{head}.{claims}.{signature}"));
    }
}

/// The public key is known to everybody; as an HMAC's secret it is nobody's.
fn keyed_by_the_public_key(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let public = &kit.public;
    let (spki, pkcs1) =
        (Public::pem("PUBLIC KEY", &public.spki), Public::pem("RSA PUBLIC KEY", &public.pkcs1));
    let n = public.jwk["n"].as_str().unwrap_or_default();
    let (jwk, set) = (public.jwk.to_string(), json!({ "keys": [public.jwk] }).to_string());
    let secrets: [(&str, &[u8]); 12] = [
        ("SPKI PEM", spki.as_bytes()),
        ("SPKI PEM without its last line end", spki.trim_end().as_bytes()),
        ("PKCS#1 PEM", pkcs1.as_bytes()),
        ("SPKI DER", &public.spki),
        ("PKCS#1 DER", &public.pkcs1),
        ("JWK", jwk.as_bytes()),
        ("JWKS", set.as_bytes()),
        ("n as text", n.as_bytes()),
        ("n as bytes", &data_encoding::BASE64URL_NOPAD.decode(n.as_bytes())?),
        ("kid", kit.kid.as_bytes()),
        ("empty", b""),
        ("secret", b"secret"),
    ];
    let algorithms = [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)];
    for (alg, algorithm) in algorithms {
        for (name, secret) in secrets {
            let header = changed(&kit.header(), "alg", Some(json!(alg))).to_string();
            let key = EncodingKey::from_secret(secret);
            let token = jws(&header, &kit.claims().to_string(), &key, algorithm)?;
            forms.token(format!("{alg} keyed by {name}"), &token);
        }
    }
    Ok(())
}

fn another_algorithm(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let claims = kit.claims().to_string();
    let rsa = [
        ("RS384", Algorithm::RS384),
        ("RS512", Algorithm::RS512),
        ("PS256", Algorithm::PS256),
        ("PS384", Algorithm::PS384),
        ("PS512", Algorithm::PS512),
    ];
    for (alg, algorithm) in rsa {
        let header = changed(&kit.header(), "alg", Some(json!(alg))).to_string();
        for (whose, key) in [("the real key", &kit.real), ("a forger's key", &kit.attacker)] {
            forms.token(format!("{alg} by {whose}"), &jws(&header, &claims, key, algorithm)?);
        }
        let claimed = kit.header().to_string();
        let token = jws(&claimed, &claims, &kit.real, algorithm)?;
        forms.token(format!("{alg} by the real key, said to be RS256"), &token);
    }
    forms.token("RS256 by a forger's key", &kit.forged(&kit.header())?);
    for alg in ["ES256", "RS256", "ES384", "ES512", "EdDSA", "HS256"] {
        let header = changed(&kit.header(), "alg", Some(json!(alg))).to_string();
        let token = jws(&header, &claims, &kit.attacker_elliptic, Algorithm::ES256)?;
        forms.token(format!("a forger's ES256 under the RSA key's id, said to be {alg}"), &token);
    }
    // r = s = 0, which verifies anything in careless ECDSA code; and RSA's trivial signatures.
    for (name, alg, signature) in [
        ("ES256, r = s = 0", "ES256", vec![0; 64]),
        ("RS256, 0", "RS256", vec![0; 256]),
        ("RS256, 1", "RS256", [vec![0; 255], vec![1]].concat()),
        ("RS256, one byte", "RS256", vec![0]),
        ("RS256, all ones", "RS256", vec![0xff; 256]),
    ] {
        let header = changed(&kit.header(), "alg", Some(json!(alg))).to_string();
        let signature = data_encoding::BASE64URL_NOPAD.encode(&signature);
        forms.token(name, &format!("{}.{}.{signature}", base64(&header), base64(&claims)));
    }
    Ok(())
}

/// Signed with a forger's key, which the header holds or says where to find.
fn bringing_its_own_key(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let certificate = BASE64.encode(&kit.attacker_public.spki);
    let issuer = testing::world::ISSUER_URL;
    let ways: [(&str, Value); 12] = [
        ("jku", json!("https://attacker.example/jwks.json")),
        ("jku", json!(format!("{issuer}@attacker.example/jwks.json"))),
        ("jku", json!(format!("{issuer}/.well-known/jwks.json#https://attacker.example"))),
        ("jku", json!("http://169.254.169.254/latest/meta-data/")),
        ("jku", json!("file:///dev/stdin")),
        ("x5u", json!("https://attacker.example/cert.pem")),
        ("x5u", json!(format!("data:application/x-x509-ca-cert;base64,{certificate}"))),
        ("jwk", kit.attacker_public.jwk.clone()),
        ("jwk", changed(&kit.attacker_public.jwk, "kid", Some(json!(kit.kid)))),
        ("x5c", json!([certificate])),
        ("x5t", json!(kit.kid)),
        ("x5t#S256", json!(kit.kid)),
    ];
    for (at, (field, value)) in ways.into_iter().enumerate() {
        let header = changed(&kit.header(), field, Some(value));
        for (named, kid) in [
            ("the real kid", Some(json!(kit.kid))),
            ("its own kid", Some(kit.attacker_public.jwk["kid"].clone())),
            ("no kid", None),
        ] {
            let token = kit.forged(&changed(&header, "kid", kid))?;
            forms.token(format!("{field} of a forger's key, {at}, with {named}"), &token);
        }
    }
    Ok(())
}

/// Signed with the real key: the id is all that is wrong.
fn key_ids(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let kid = &kit.kid;
    let mut ids = vec![
        json!(""),
        json!("../../../../../../dev/null"),
        json!("/dev/null"),
        json!("file:///proc/sys/kernel/randomize_va_space"),
        json!("' OR '1'='1"),
        json!("x' UNION SELECT kid, jwk, sign_at FROM signing_keys --"),
        json!("'; DROP TABLE signing_keys; --"),
        json!("$(id)"),
        json!("|id"),
        json!("{{7*7}}"),
        json!("unknown"),
        json!("\u{0}"),
        json!(format!("{kid}\u{0}")),
        json!(format!("{kid} ")),
        json!(format!(" {kid}")),
        json!(format!("{kid}/../{kid}")),
        json!(kid[..kid.len() - 1]),
        json!(kid.to_uppercase() + "x"),
        json!("é"),
        json!("k".repeat(128)),
        json!("k".repeat(129)),
        json!("k".repeat(2000)),
        json!(null),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(true),
        json!([kid]),
        json!({ "kid": kid }),
    ];
    ids.push(kit.attacker_public.jwk["kid"].clone());
    for (at, id) in ids.into_iter().enumerate() {
        let token = kit.signed(&changed(&kit.header(), "kid", Some(id)), &kit.claims())?;
        forms.token(format!("kid {at}"), &token);
    }
    forms.token("no kid", &kit.signed(&changed(&kit.header(), "kid", None), &kit.claims())?);
    // The empty file as the secret: the classic end of a path in `kid`.
    let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "../../../dev/null" }).to_string();
    let token = jws(&header, &kit.claims().to_string(), &EncodingKey::from_secret(b""), Algorithm::HS256)?;
    forms.token("HS256 keyed by /dev/null", &token);
    Ok(())
}

/// Signed with the real key.
fn types_and_extensions(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let header = kit.header();
    let types = [
        json!("JWT"),
        json!("jwt"),
        json!("AT+JWT"),
        json!("at+JWT"),
        json!("application/at+jwt"),
        json!("step-up+jwt"),
        json!("id+jwt"),
        json!("at+jwt "),
        json!(""),
        json!(null),
        json!(1),
        json!(["at+jwt"]),
    ];
    for typ in types {
        let name = format!("typ {typ}");
        forms.token(name, &kit.signed(&changed(&header, "typ", Some(typ)), &kit.claims())?);
    }
    forms.token("no typ", &kit.signed(&changed(&header, "typ", None), &kit.claims())?);
    for crit in
        [json!([]), json!(["exp"]), json!(["b64"]), json!(["nonsense"]), json!("exp"), json!([1]), json!({})]
    {
        let name = format!("crit {crit}");
        forms.token(name, &kit.signed(&changed(&header, "crit", Some(crit)), &kit.claims())?);
    }
    // RFC 7797: the payload is signed as it stands, and stands as it is.
    let plain = changed(&changed(&header, "b64", Some(json!(false))), "crit", Some(json!(["b64"])));
    forms.token("b64 false", &kit.signed(&plain, &kit.claims())?);
    let signed = format!("{}.{}", base64(&plain.to_string()), kit.claims());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &kit.real, Algorithm::RS256)?;
    forms.token("b64 false, payload not encoded", &format!("{signed}.{signature}"));
    let attached = format!("{}..{signature}", base64(&plain.to_string()));
    forms.token("b64 false, payload detached", &attached);
    let texts = [
        ("no object", String::from("[]")),
        ("a string", String::from("\"RS256\"")),
        ("cut", header.to_string()[..20].to_owned()),
        ("two values", format!("{header}{header}")),
        ("alg twice", format!("{{\"alg\":\"none\",{}", &header.to_string()[1..])),
        ("kid twice", format!("{{\"kid\":\"{}\",{}", kit.kid, &header.to_string()[1..])),
        ("deep", "[".repeat(1000)),
    ];
    for (name, text) in texts {
        forms.token(format!("header: {name}"), &kit.signed_text(&text, &kit.claims().to_string())?);
    }
    Ok(())
}
