//! What a JWT can claim. All are signed with the real key: no claim is believed for its signature alone.

use serde_json::{Value, json};
use testing::Result;
use testing::world::{AUDIENCE, ISSUER_URL};

use super::Forms;
use super::kit::{Kit, changed};

pub fn add(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    audience_and_issuer(kit, forms)?;
    account_and_session(kit, forms)?;
    times(kit, forms)?;
    payloads(kit, forms)
}

fn each(
    kit: &Kit<'_>,
    forms: &mut Forms,
    field: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<()> {
    let odd = [json!(null), json!({}), json!([]), json!(true)];
    for value in values.into_iter().chain(odd) {
        let name = format!("{field} {value}");
        forms.token(name, &kit.signed(&kit.header(), &changed(&kit.claims(), field, Some(value)))?);
    }
    forms.token(format!("no {field}"), &kit.signed(&kit.header(), &changed(&kit.claims(), field, None))?);
    Ok(())
}

fn audience_and_issuer(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let audiences = [
        json!(""),
        json!("other"),
        json!("Satchel"),
        json!(format!("{AUDIENCE} ")),
        json!(format!("{AUDIENCE}/step-up")),
        json!(1),
        json!([AUDIENCE]),
        json!(["other"]),
        json!([AUDIENCE, "other"]),
    ];
    each(kit, forms, "aud", audiences)?;
    let issuers = [
        json!(""),
        json!("https://attacker.example"),
        json!(format!("{ISSUER_URL}/")),
        json!(format!("{ISSUER_URL}.attacker.example")),
        json!(ISSUER_URL.replace("https", "http")),
        json!(ISSUER_URL.to_uppercase()),
        json!(1),
        json!([ISSUER_URL]),
        json!(["https://attacker.example", ISSUER_URL]),
    ];
    each(kit, forms, "iss", issuers)
}

fn account_and_session(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let ids = |others: &uuid::Uuid| {
        [
            json!(others),
            json!(uuid::Uuid::nil()),
            json!(uuid::Uuid::max()),
            json!(""),
            json!("*"),
            json!("' OR '1'='1"),
            json!("not-a-uuid"),
            json!(7),
            json!([others]),
        ]
    };
    each(kit, forms, "sub", ids(&kit.other.user_id))?;
    each(kit, forms, "sid", ids(&kit.other.session_id))?;
    let swapped = changed(&kit.claims(), "sub", Some(json!(kit.user.session_id)));
    let swapped = changed(&swapped, "sid", Some(json!(kit.user.user_id)));
    forms.token("sub and sid swapped", &kit.signed(&kit.header(), &swapped)?);
    each(kit, forms, "jti", [json!(""), json!(1), json!("once")])?;
    each(kit, forms, "scope", [json!(1), json!(["user"])])
}

fn times(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let now = kit.now;
    let with =
        |field: &str, value: Value| kit.signed(&kit.header(), &changed(&kit.claims(), field, Some(value)));
    for (at, name) in [
        (now - 5, "just past the leeway"),
        (now - 6, "a second more"),
        (now - 86_400, "a day past"),
        (0, "in 1970"),
    ] {
        forms.token(format!("exp {name}"), &with("exp", json!(at))?).expired();
    }
    let unreadable = |at: i64| {
        [
            json!(at.to_string()),
            json!(""),
            json!("never"),
            json!(1e300),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(253_402_300_800_i64),
            serde_json::from_str(&format!("{at}.5")).unwrap_or_default(),
            serde_json::from_str(&format!("{at}.0")).unwrap_or_default(),
            json!([at]),
        ]
    };
    each(kit, forms, "exp", unreadable(now + 1800).into_iter().chain([json!(-1)]))?;
    each(kit, forms, "nbf", unreadable(now))?;
    each(kit, forms, "iat", unreadable(now))?;
    for field in ["nbf", "iat"] {
        forms.token(format!("{field} just past the leeway"), &with(field, json!(now + 6))?).timed();
        forms.token(format!("{field} in an hour"), &with(field, json!(now + 3600))?);
        forms.token(format!("{field} in milliseconds"), &with(field, json!(now * 1000))?);
    }
    Ok(())
}

fn payloads(kit: &Kit<'_>, forms: &mut Forms) -> Result<()> {
    let claims = kit.claims().to_string();
    let others = json!(kit.other.user_id);
    let payloads = [
        ("empty", String::new()),
        ("{}", String::from("{}")),
        ("null", String::from("null")),
        ("a list of claims", format!("[{claims}]")),
        ("a string of claims", json!(claims).to_string()),
        ("cut", claims[..claims.len() - 1].to_owned()),
        ("two values", format!("{claims}{claims}")),
        ("sub twice", format!("{{\"sub\":{others},{}", &claims[1..])),
        ("exp twice", format!("{{\"exp\":{},{}", kit.now + 9999, &claims[1..])),
        ("in Latin-1 by mistake", format!("\u{feff}{claims}")),
        ("deep", "[".repeat(1000)),
    ];
    for (name, payload) in payloads {
        forms.token(format!("payload: {name}"), &kit.signed_text(&kit.header().to_string(), &payload)?);
    }
    Ok(())
}
